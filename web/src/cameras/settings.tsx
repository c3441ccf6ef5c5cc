/** The settings of a camera: where its video comes from, how it is shown, and what is recorded. */

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { useAction } from "../api/polling";
import { useRights } from "../api/session";
import { Button, Card, Form, Problem, SelectField, Switch, TextField, toast } from "../parts";
import { t as common } from "../words/common";
import { t } from "../words/cameras";
import { ConnectionTest } from "./connection";
import { type CameraDetail, changesOf, type Settings, sourceOf, withLogin } from "./model";

type Shown = Omit<Settings, "analytics" | "zones" | "lines" | "stall_timeout_s" | "start_timeout_s" | "interval">;
const NUMBERS = { max_fps: [0.1, 60], clip_before_s: [0, 30], clip_after_s: [1, 60] } as const;
const MASK = "***";
const ROTATIONS = ["0", "90", "180", "270"] as const;
const BLURS = ["gaussian", "pixelate", "solid"] as const;
const RECORDS = ["events", "continuous", "off"] as const;

/** The fields of the form; what else the server says changes all the time. */
function shownOf(camera: CameraDetail): Shown {
  return {
    name: camera.name,
    source: camera.source,
    detect_url: camera.detect_url ?? "",
    transport: camera.transport,
    max_fps: camera.max_fps,
    downscale: camera.downscale,
    rotate: camera.rotate,
    blur: camera.blur,
    blur_margin: camera.blur_margin,
    loop: camera.loop,
    record: camera.record,
    clip_before_s: camera.clip_before_s,
    clip_after_s: camera.clip_after_s,
  };
}

export function SettingsTab({ camera, editable, onSave }: {
  camera: CameraDetail;
  editable: boolean;
  onSave: (changes: Partial<Settings>) => Promise<unknown>;
}): JSX.Element {
  const stored = shownOf(camera);
  const [values, setValues] = useState(stored);
  const [user, setUser] = useState("");
  const [password, setPassword] = useState("");
  const { busy, problem, run } = useAction();
  useEffect(() => setValues(stored), [JSON.stringify(stored)]);
  const put = (change: Partial<Shown>) => setValues({ ...values, ...change });

  const isUrl = values.source.includes("://");
  const moved = values.source !== stored.source;
  const changes = changesOf(stored, editableOf(values)) as Partial<Settings>;
  if (moved || user) changes.source = sourceOf(withLogin(values.source, user, password)) as string;
  if (changes.detect_url !== undefined || (user && values.detect_url)) {
    changes.detect_url = values.detect_url ? withLogin(values.detect_url, user, password) : null;
  }
  // What was masked cannot be sent back.
  const isHidden = [changes.source, changes.detect_url].some((url) => url?.toString().includes(MASK));
  const save = async () => {
    if (!(await run(() => onSave(changes)))) return;
    setUser("");
    setPassword("");
    toast(common("saved"));
  };
  const tested = moved || user
    ? { source: sourceOf(values.source), ...(user && { user, password }) }
    : { camera_id: camera.camera_id };
  return (
    <Form class="camera-settings" onSubmit={save}>
      <fieldset disabled={!editable} class="camera-settings-all">
        <Card title={t("source")}>
          <TextField label={t("name")} value={values.name} onInput={(name) => put({ name })} maxLength={100} />
          <TextField label={t(isUrl ? "address" : "file_or_webcam")} hint={t(isUrl ? "address_masked" : "file_hint")} value={values.source} onInput={(source) => put({ source })} problem={isHidden ? t("address_hidden") : undefined} required maxLength={2048} literal />
          {isUrl && (
            <>
              <TextField label={t("second_stream")} hint={t("second_hint")} value={values.detect_url ?? ""} onInput={(detect_url) => put({ detect_url })} maxLength={2048} literal />
              <div class="form-row">
                <TextField label={t("new_user")} value={user} onInput={setUser} maxLength={200} autocomplete="off" literal />
                <TextField label={t("new_password")} type="password" value={password} onInput={setPassword} maxLength={200} autocomplete="new-password" />
              </div>
              <SelectField label={t("transport")} hint={t("transport_hint")} value={values.transport} options={[{ value: "tcp", label: "TCP" }, { value: "udp", label: "UDP" }]} onChange={(transport) => put({ transport })} />
            </>
          )}
          {editable && <ConnectionTest request={{ ...tested, transport: values.transport, rotate: values.rotate }} />}
        </Card>
        <Card title={t("picture")}>
          <div class="form-row">
            <NumberField name="max_fps" values={values} onChange={put} />
            <SelectField
              label={t("downscale")}
              value={String(values.downscale)}
              options={[...new Set(["1", "0.75", "0.5", "0.25", String(values.downscale)])].map((value) => ({ value, label: `${Math.round(Number(value) * 100)} %` }))}
              onChange={(downscale) => put({ downscale: Number(downscale) })}
            />
            <SelectField label={t("rotate")} value={String(values.rotate) as (typeof ROTATIONS)[number]} options={ROTATIONS.map((value) => ({ value, label: `${value}°` }))} onChange={(rotate) => put({ rotate: Number(rotate) as Shown["rotate"] })} />
          </div>
          {!isUrl && (
            <Switch label={t("loop")} hint={t("loop_hint")} checked={values.loop} onChange={(loop) => put({ loop })} />
          )}
        </Card>
        <Privacy camera={camera} values={values} onChange={put} />
        <Card title={t("recording")}>
          <SelectField label={t("record")} hint={t(`record.${values.record}.hint`)} value={values.record} options={RECORDS.map((value) => ({ value, label: t(`record.${value}`) }))} onChange={(record) => put({ record })} />
          {values.record !== "off" && (
            <div class="form-row">
              <NumberField name="clip_before_s" values={values} onChange={put} />
              <NumberField name="clip_after_s" values={values} onChange={put} />
            </div>
          )}
        </Card>
      </fieldset>
      {problem && <Problem text={problem} />}
      {editable && (
        <div class="camera-save">
          <Button type="submit" kind="primary" busy={busy} disabled={Object.keys(changes).length === 0 || isHidden}>{common("save")}</Button>
          <span class="hint">{Object.keys(changes).length > 0 ? t("restarts") : ""}</span>
        </div>
      )}
    </Form>
  );
}

function editableOf(values: Shown): Partial<Shown> {
  const { source: _, ...rest } = values;
  return rest;
}

/** Faces are covered; uncovering them for a time is a call of its own, with a reason. */
function Privacy({ camera, values, onChange }: {
  camera: CameraDetail;
  values: Shown;
  onChange: (change: Partial<Shown>) => void;
}): JSX.Element {
  const may = useRights();
  return (
    <Card title={t("privacy")}>
      {values.blur === "off" ? (
        <p class="notice warn">{t("blur_off")}</p>
      ) : (
        <div class="form-row">
          <SelectField label={t("blur")} value={values.blur} options={BLURS.map((value) => ({ value, label: t(`blur.${value}`) }))} onChange={(blur) => onChange({ blur })} />
          <TextField
            type="number"
            label={t("blur_margin")}
            hint={t("blur_margin_hint")}
            value={String(values.blur_margin)}
            min={0}
            max={2}
            step={0.05}
            required
            onInput={(text) => onChange({ blur_margin: Number(text) })}
          />
        </div>
      )}
      {values.blur === "off" && may("control", camera.camera_id) && (
        <div>
          <Button onClick={() => onChange({ blur: "gaussian" })}>{t("blur_on")}</Button>
        </div>
      )}
    </Card>
  );
}

function NumberField({ name, values, onChange }: {
  name: keyof typeof NUMBERS;
  values: Shown;
  onChange: (change: Partial<Shown>) => void;
}): JSX.Element {
  const [min, max] = NUMBERS[name];
  return (
    <TextField
      type="number"
      label={t(name)}
      value={String(values[name])}
      min={min}
      max={max}
      step="any"
      required
      onInput={(text) => onChange({ [name]: Number(text) })}
    />
  );
}
