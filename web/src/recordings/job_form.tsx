/** The form that starts a job, or repeats one. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { useCameras } from "../api/cameras";
import { call } from "../api/client";
import { refresh, useAction } from "../api/polling";
import { useRights } from "../api/session";
import { ZONE } from "../days";
import { Button, Dialog, SelectField, TextField, toast } from "../parts";
import { t as common } from "../words/common";
import { t } from "../words/recordings";

const MINUTE_S = 60;
const LONGEST_MINUTES = 7 * 24 * 60;
const DAYS = ["*", "1-5", "0,6", "1", "2", "3", "4", "5", "6", "0"] as const;

/** With `repeats`, the form makes a schedule. */
export function JobForm({ repeats = false, onClose }: { repeats?: boolean; onClose: () => void }): JSX.Element {
  const cameras = useCameras().data ?? [];
  const may = useRights();
  const saving = useAction();
  const [name, setName] = useState("");
  const [minutes, setMinutes] = useState(repeats ? "60" : "5");
  const [sources, setSources] = useState<ReadonlySet<string>>(new Set());
  const [other, setOther] = useState("");
  const [time, setTime] = useState("22:00");
  const [days, setDays] = useState<string>("*");
  const toggle = (id: string) => {
    const next = new Set(sources);
    if (!next.delete(id)) next.add(id);
    setSources(next);
  };
  const submit = async () => {
    const chosen = [...sources, ...(other.trim() ? [other.trim()] : [])];
    const body: Record<string, unknown> = { sources: chosen, duration: Number(minutes) * MINUTE_S, steps: 20 };
    if (name.trim()) body.name = name.trim();
    if (repeats) {
      const [hour, minute] = time.split(":").map(Number);
      Object.assign(body, { cron: `${minute} ${hour} * * ${days}`, timezone: ZONE });
    }
    const done = await saving.run(() => call(repeats ? "collect/schedules" : "collect", { body }));
    if (!done) return;
    refresh("collect/");
    toast(repeats ? common("saved") : t("job_started"));
    onClose();
  };
  return (
    <Dialog
      title={repeats ? t("add_schedule") : t("start_job")}
      size="medium"
      onClose={onClose}
      onSubmit={() => void submit()}
      actions={
        <>
          <Button kind="quiet" onClick={onClose}>
            {common("cancel")}
          </Button>
          <Button type="submit" kind="primary" busy={saving.busy}>
            {repeats ? common("add") : t("start_job")}
          </Button>
        </>
      }
    >
      <div class="form-row">
        <TextField label={t("job_name")} value={name} onInput={setName} maxLength={200} />
        <TextField
          label={t("minutes_long")}
          type="number"
          required
          min={0.1}
          max={LONGEST_MINUTES}
          step="any"
          value={minutes}
          onInput={setMinutes}
        />
      </div>
      {repeats && (
        <div class="form-row">
          <TextField label={t("at_time")} type="time" required value={time} onInput={setTime} hint={ZONE} />
          <SelectField
            label={t("on_days")}
            value={days}
            options={DAYS.map((value) => ({ value, label: t(`days.${value}`) }))}
            onChange={setDays}
          />
        </div>
      )}
      <fieldset class="job-sources">
        <legend>{t("cameras")}</legend>
        <p class="hint">{t("cameras_hint")}</p>
        {cameras
          .filter(({ camera_id: id }) => may("jobs", id))
          .map(({ camera_id: id, name: label }) => (
            <label key={id}>
              <input type="checkbox" checked={sources.has(id)} onChange={() => toggle(id)} />
              <span>{label}</span>
            </label>
          ))}
      </fieldset>
      {may("jobs", "*") && (
        <TextField
          label={t("other_source")}
          hint={t("other_source_hint")}
          value={other}
          onInput={setOther}
          literal
          maxLength={2048}
          autocomplete="off"
        />
      )}
      {saving.problem && (
        <p class="problem" role="alert">
          {saving.problem}
        </p>
      )}
    </Dialog>
  );
}
