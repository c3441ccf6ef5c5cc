/** Finds cameras on the network, asks one for its streams, and hands them to the form. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { call } from "../api/client";
import { useAction } from "../api/polling";
import { Button, Card, Form, Problem, SearchIcon, SelectField, Spinner, TextField } from "../parts";
import { t as common } from "../words/common";
import { t } from "../words/cameras";
import type { FoundCamera, OnvifDevice, OnvifStream } from "./model";

const WAIT_S = 4;
const ONVIF_MS = 40_000;
const NONE = "";

export interface Chosen {
  name: string;
  main: string;
  second: string;
  user: string;
  password: string;
}

export function Discover({ onChosen }: { onChosen: (chosen: Chosen) => void }): JSX.Element {
  const [found, setFound] = useState<FoundCamera[] | null>(null);
  const [host, setHost] = useState("");
  const [asked, setAsked] = useState<{ service: string; name: string } | null>(null);
  const { busy, problem, run } = useAction();
  const search = () =>
    run(async () => {
      setFound(null);
      setFound(await call<FoundCamera[]>("api/cameras/discover", { body: { wait_s: WAIT_S } }));
    });
  if (asked) return <AskStreams {...asked} onBack={() => setAsked(null)} onChosen={onChosen} />;
  return (
    <Card title={t("discover")}>
      <p class="hint">{t("discover_hint")}</p>
      <div>
        <Button icon={SearchIcon} kind="primary" busy={busy} onClick={search}>{t("discover_start")}</Button>
      </div>
      <div role="status" class="camera-found">
        {busy && <Spinner label={t("discovering")} />}
        {problem && <Problem text={problem} onRetry={search} />}
        {found?.length === 0 && <p>{t("discovered_none")}</p>}
        {found && found.length > 0 && (
          <ul class="rows">
            {found.map((camera) => (
              <li key={camera.service}>
                <span>
                  <strong>{camera.name || camera.hardware || camera.host}</strong>
                  <span class="hint"> {[camera.host, camera.hardware, camera.location].filter(Boolean).join(" · ")}</span>
                  {camera.cameras.length > 0 && <span class="hint"> {t("already", { ids: camera.cameras.join(", ") })}</span>}
                </span>
                <Button small onClick={() => setAsked({ service: camera.service, name: camera.name || camera.hardware })}>{t("use")}</Button>
              </li>
            ))}
          </ul>
        )}
      </div>
      <Form class="camera-host" onSubmit={() => setAsked({ service: host.trim(), name: "" })}>
        <TextField label={t("onvif_host")} hint={t("onvif_host_hint")} value={host} onInput={setHost} required literal placeholder="192.168.1.20" />
        <Button type="submit">{t("use")}</Button>
      </Form>
    </Card>
  );
}

function AskStreams({ service, name, onBack, onChosen }: {
  service: string;
  name: string;
  onBack: () => void;
  onChosen: (chosen: Chosen) => void;
}): JSX.Element {
  const [user, setUser] = useState("admin");
  const [password, setPassword] = useState("");
  const [device, setDevice] = useState<OnvifDevice | null>(null);
  const [main, setMain] = useState(NONE);
  const [second, setSecond] = useState(NONE);
  const { busy, problem, run } = useAction();
  const ask = () =>
    run(async () => {
      const body = { address: service, user, password };
      const told = await call<OnvifDevice>("api/cameras/onvif", { body, patienceMs: ONVIF_MS });
      setDevice(told);
      setMain(told.main === null ? NONE : told.streams[told.main]!.url);
      setSecond(told.second === null ? NONE : told.streams[told.second]!.url);
    });
  const options = (device?.streams ?? []).map((stream) => ({ value: stream.url, label: describe(stream) }));
  return (
    <Card title={name || service} actions={<Button kind="quiet" onClick={onBack}>{t("back")}</Button>}>
      <Form
        onSubmit={() => {
          if (device) onChosen({ name: name || `${device.maker} ${device.model}`, main, second, user, password });
          else void ask();
        }}
      >
        <p class="hint">{t("onvif_login")}</p>
        <div class="form-row">
          <TextField label={t("user")} value={user} onInput={setUser} maxLength={200} autocomplete="off" literal />
          <TextField label={t("password")} type="password" value={password} onInput={setPassword} maxLength={200} autocomplete="new-password" />
        </div>
        {problem && <Problem text={problem} />}
        {!device && <Button type="submit" kind="primary" busy={busy}>{t("ask_streams")}</Button>}
        {device && options.length === 0 && <p>{t("no_streams")}</p>}
        {device && options.length > 0 && (
          <>
            <p>{[device.maker, device.model, device.firmware].filter(Boolean).join(" · ")}</p>
            <SelectField label={t("main_stream")} value={main} options={options} onChange={setMain} />
            <SelectField
              label={t("second_stream")}
              hint={t("second_hint")}
              value={second}
              options={[{ value: NONE, label: common("none") }, ...options.filter(({ value }) => value !== main)]}
              onChange={setSecond}
            />
            <Button type="submit" kind="primary">{t("take")}</Button>
          </>
        )}
      </Form>
    </Card>
  );
}

function describe({ name, codec, width, height, fps }: OnvifStream): string {
  const size = width && height ? `${width} × ${height}` : "";
  return [name, codec, size, fps ? t("fps", { fps: String(fps) }) : ""].filter(Boolean).join(" · ");
}
