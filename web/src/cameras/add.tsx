/** Adds a camera: by its address with hints by maker, found on the network, or a file or webcam. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { type Camera, CAMERAS, useCameras } from "../api/cameras";
import { call } from "../api/client";
import { refresh, useAction, usePolled } from "../api/polling";
import {
  Button,
  ButtonLink,
  Card,
  Form,
  Problem,
  Segments,
  SelectField,
  Switch,
  TextField,
  toast,
  View,
} from "../parts";
import { go, link } from "../shell/router";
import { t as common } from "../words/common";
import { t } from "../words/cameras";
import { ConnectionTest } from "./connection";
import { type Chosen, Discover } from "./discover";
import { type CameraDetail, ID, idFrom, type Maker, sourceOf, withLogin } from "./model";

const OTHER = "";
const START_MS = 40_000;
type Way = "address" | "discover" | "local";

interface Draft {
  name: string;
  id: string;
  maker: string;
  host: string;
  source: string;
  second: string;
  user: string;
  password: string;
  transport: "tcp" | "udp";
  loop: boolean;
}

const EMPTY: Draft = { name: "", id: "", maker: OTHER, host: "", source: "", second: "", user: "", password: "", transport: "tcp", loop: true };

export function AddCamera(): JSX.Element {
  const [way, setWay] = useState<Way>("address");
  const [draft, setDraft] = useState(EMPTY);
  const { data: cameras = [] } = useCameras();
  const put = (change: Partial<Draft>) => setDraft({ ...draft, ...change });
  const take = ({ main, ...chosen }: Chosen) => {
    setDraft({ ...EMPTY, ...chosen, source: main });
    setWay("address");
  };
  const ways = (["address", "discover", "local"] as const).map((value) => ({ value, label: t(`way.${value}`) }));
  return (
    <View title={t("add_camera")} actions={<ButtonLink kind="quiet" href={link("cameras")}>{common("cancel")}</ButtonLink>}>
      <Segments label={t("way")} value={way} options={ways} onChange={setWay} />
      <div class="camera-add">
        {way === "discover" ? <Discover onChosen={take} /> : <AddForm key={way} local={way === "local"} draft={draft} cameras={cameras} onChange={put} />}
      </div>
    </View>
  );
}

function AddForm({ local, draft, cameras, onChange }: {
  local: boolean;
  draft: Draft;
  cameras: readonly Camera[];
  onChange: (change: Partial<Draft>) => void;
}): JSX.Element {
  const { busy, problem, run } = useAction();
  const taken = cameras.map(({ camera_id }) => camera_id);
  const id = draft.id || idFrom(draft.name || draft.host, taken);
  const isTaken = !busy && taken.includes(id); // while it is added, it gets into the list
  const idProblem = !ID.test(id) ? t("id_wrong") : isTaken ? t("id_taken") : undefined;
  const source = draft.source.trim();
  const isRtsp = /^rtsps?:/i.test(source);
  const login = { user: draft.user, password: draft.password };
  const save = () =>
    run(async () => {
      const body = {
        camera_id: id,
        name: draft.name.trim() || null,
        source: sourceOf(local ? source : withLogin(source, draft.user, draft.password)),
        ...(isRtsp && { transport: draft.transport }),
        ...(isRtsp && draft.second && { detect_url: withLogin(draft.second.trim(), draft.user, draft.password) }),
        ...(local && { loop: draft.loop }),
      };
      const camera = await call<CameraDetail>(CAMERAS, { body, patienceMs: START_MS });
      toast(t("added", { name: camera.name }));
      refresh(CAMERAS);
      go(link("cameras", camera.camera_id, { tab: "places" }));
    });
  return (
    <Form class="camera-add-form" onSubmit={save}>
      <Card title={t("source")}>
        {local ? (
          <>
            <TextField label={t("file_or_webcam")} hint={t("file_hint")} value={draft.source} onInput={(text) => onChange({ source: text })} required maxLength={4096} literal />
            <Switch label={t("loop")} hint={t("loop_hint")} checked={draft.loop} onChange={(loop) => onChange({ loop })} />
          </>
        ) : (
          <Address draft={draft} isRtsp={isRtsp} onChange={onChange} />
        )}
        <ConnectionTest
          disabled={!source}
          request={{ source: sourceOf(source), ...(!local && draft.user && login), transport: draft.transport }}
        />
      </Card>
      <Card title={t("name_it")}>
        <div class="form-row">
          <TextField label={t("name")} value={draft.name} onInput={(name) => onChange({ name })} maxLength={100} placeholder={t("name_example")} />
          <TextField label={t("id")} hint={t("id_hint")} value={draft.id} placeholder={id} onInput={(text) => onChange({ id: text.trim() })} maxLength={64} problem={idProblem} literal />
        </div>
        {problem && <Problem text={problem} />}
        <div>
          <Button type="submit" kind="primary" busy={busy} disabled={!source || idProblem !== undefined}>{t("add_camera")}</Button>
        </div>
      </Card>
    </Form>
  );
}

function Address({ draft, isRtsp, onChange }: {
  draft: Draft;
  isRtsp: boolean;
  onChange: (change: Partial<Draft>) => void;
}): JSX.Element {
  const { data: makers = [] } = usePolled<Maker[]>("api/cameras/makers", Infinity);
  const maker = makers.find(({ name }) => name === draft.maker);
  const fill = (name: string, host: string): Partial<Draft> => {
    const known = makers.find((one) => one.name === name);
    if (!known) return { maker: name, host };
    const at = (url: string | null): string => (url ?? "").replace("{host}", host || "192.168.1.20");
    return { maker: name, host, source: at(known.main), second: at(known.second) };
  };
  return (
    <>
      <div class="form-row">
        <SelectField
          label={t("maker")}
          value={draft.maker}
          options={[{ value: OTHER, label: t("maker_other") }, ...makers.map(({ name }) => ({ value: name, label: name }))]}
          onChange={(name) => onChange(fill(name, draft.host))}
        />
        {maker && (
          <TextField label={t("host")} value={draft.host} onInput={(host) => onChange(fill(draft.maker, host.trim()))} placeholder="192.168.1.20" maxLength={255} literal />
        )}
      </div>
      {maker?.note && <p class="notice">{t.or(`maker.${maker.name}`, maker.note)}</p>}
      <TextField label={t("address")} hint={t("address_hint")} value={draft.source} onInput={(source) => onChange({ source })} required maxLength={2048} placeholder="rtsp://192.168.1.20:554/stream1" literal />
      <div class="form-row">
        <TextField label={t("user")} value={draft.user} onInput={(user) => onChange({ user })} maxLength={200} autocomplete="off" literal />
        <TextField label={t("password")} type="password" value={draft.password} onInput={(password) => onChange({ password })} maxLength={200} autocomplete="new-password" />
      </div>
      {isRtsp && (
        <details>
          <summary>{t("more_options")}</summary>
          <div class="form">
            <TextField label={t("second_stream")} hint={t("second_hint")} value={draft.second} onInput={(second) => onChange({ second })} maxLength={2048} literal />
            <SelectField label={t("transport")} hint={t("transport_hint")} value={draft.transport} options={[{ value: "tcp", label: "TCP" }, { value: "udp", label: "UDP" }]} onChange={(transport) => onChange({ transport })} />
          </div>
        </details>
      )}
    </>
  );
}
