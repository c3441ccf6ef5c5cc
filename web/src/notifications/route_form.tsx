/** The dialog that adds or changes a route. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Camera } from "../api/cameras";
import { useAction } from "../api/polling";
import { LABELS, TYPES } from "../events/event";
import { Button, Choices, Dialog, HoursField, TextField, type Option } from "../parts";
import { t as common } from "../words/common";
import { t as names } from "../words/names";
import { t } from "../words/notifications";
import { EVERYTHING, saveRoute, type Route, type Selection, type Target } from "./api";
import { localZone } from "./zones";

interface RouteFormProps {
  /** The route to change; none: a new one. */
  route?: Route;
  targets: Target[];
  cameras: Camera[];
  onClose: () => void;
}

export function RouteForm({ route, targets, cameras, onClose }: RouteFormProps): JSX.Element {
  const [chosen, setChosen] = useState<Selection>(() => first(route, targets));
  const [zones, setZones] = useState(chosen.zones.join(", "));
  const { busy, problem, run } = useAction();
  const set = (changes: Partial<Selection>) => setChosen((known) => ({ ...known, ...changes }));
  const save = async () => {
    const named = zones.split(",").map((zone) => zone.trim()).filter(Boolean);
    const timezone = chosen.hours.length > 0 ? (chosen.timezone ?? localZone()) : chosen.timezone;
    if (await run(() => saveRoute(route?.route_id ?? null, { ...chosen, zones: named, timezone }))) onClose();
  };
  return (
    <Dialog
      title={route ? route.name : t("add_route")}
      size="medium"
      onClose={onClose}
      onSubmit={save}
      actions={
        <>
          <Button kind="quiet" onClick={onClose}>{common("cancel")}</Button>
          <Button type="submit" kind="primary" busy={busy} disabled={chosen.targets.length === 0}>
            {common(route ? "save" : "add")}
          </Button>
        </>
      }
    >
      <TextField label={t("name")} value={chosen.name} onInput={(name) => set({ name })} required maxLength={100} autoFocus />
      <Choices
        label={t("send_to")}
        options={targets.map(({ target_id, name }) => ({ value: `${target_id}`, label: name }))}
        chosen={chosen.targets.map(String)}
        onChange={(ids) => set({ targets: ids.map(Number) })}
      />
      <Choices
        label={t("cameras")}
        hint={t("none_is_all")}
        options={withKept(cameras.map((one) => ({ value: one.camera_id, label: one.name })), chosen.cameras)}
        chosen={chosen.cameras}
        onChange={(ids) => set({ cameras: ids })}
      />
      <Choices
        label={t("types")}
        hint={t("none_is_all")}
        options={withKept(TYPES.map((value) => ({ value, label: names(`event.${value}`) })), chosen.types)}
        chosen={chosen.types}
        onChange={(types) => set({ types })}
      />
      <Choices
        label={t("labels")}
        hint={t("labels_hint")}
        options={withKept(LABELS.map((value) => ({ value, label: names(`name.${value}`) })), chosen.labels)}
        chosen={chosen.labels}
        onChange={(labels) => set({ labels })}
      />
      <TextField label={t("zones")} hint={t("zones_hint")} value={zones} onInput={setZones} literal />
      <HoursField value={chosen.hours} onChange={(hours) => set({ hours })} hint={t("hours_hint")} always={t("always")} />
      {chosen.hours.length > 0 && (
        <TextField label={t("option.timezone")} value={chosen.timezone ?? localZone()} onInput={(timezone) => set({ timezone })} literal required />
      )}
      <div class="form-row">
        <TextField
          label={t("max_per_minute")}
          hint={t("max_per_minute_hint")}
          type="number"
          min={1}
          max={1000}
          value={chosen.max_per_minute === null ? "" : `${chosen.max_per_minute}`}
          onInput={(text) => set({ max_per_minute: text === "" ? null : Number(text) })}
        />
        <TextField
          label={t("group_s")}
          hint={t("group_s_hint")}
          type="number"
          min={0}
          max={3600}
          value={chosen.group_s === 0 ? "" : `${chosen.group_s}`}
          onInput={(text) => set({ group_s: Number(text) })}
        />
      </div>
      {problem && <p class="problem" role="alert">{problem}</p>}
    </Dialog>
  );
}

function first(route: Route | undefined, targets: Target[]): Selection {
  if (!route) return { ...EVERYTHING, name: "", targets: targets.length === 1 ? [targets[0]!.target_id] : [] };
  const { route_id: _, suppressed: __, ...selection } = route;
  return selection;
}

/** The options, and what was chosen before and is none of them any more. */
function withKept(options: Option<string>[], chosen: readonly string[]): Option<string>[] {
  const left = chosen.filter((value) => options.every((option) => option.value !== value));
  return [...options, ...left.map((value) => ({ value, label: value }))];
}
