/** The settings of the zone or line that is selected. */

import type { JSX } from "preact";
import { Card, Choices, Field, SelectField, TextField } from "../parts";
import { t as names } from "../words/names";
import { t } from "../words/places";
import { type PlaceRef, placeOf } from "./geometry";
import { type Direction, LABELS, type Line, type Places, type Zone, type ZoneKind } from "./model";

const KINDS: ZoneKind[] = ["count", "watch", "ignore"];
const DIRECTIONS: Direction[] = ["both", "a_to_b", "b_to_a"];

export function PlaceForm({ places, of, rules, onChange }: {
  places: Places;
  of: PlaceRef;
  rules: string[];
  onChange: (change: Partial<Zone> | Partial<Line>) => void;
}): JSX.Element | null {
  const place = placeOf(places, of);
  if (!place) return null;
  return (
    <Card title={place.name || t(of.type)} class="places-form">
      <TextField label={t("name")} value={place.name} onInput={(name) => onChange({ name })} maxLength={64} />
      {of.type === "zone" ? (
        <ZoneFields zone={place as Zone} rules={rules} onChange={onChange} />
      ) : (
        <LineFields line={place as Line} onChange={onChange} />
      )}
      <Choices
        label={t("labels")}
        hint={t("labels_hint")}
        options={LABELS.map((value) => ({ value, label: names.or(`name.${value}`, value) }))}
        chosen={place.labels ?? []}
        onChange={(labels) => onChange({ labels: labels.length > 0 ? labels : undefined })}
      />
      <Field label={t("color")}>
        {(attributes) => (
          <input type="color" {...attributes} value={place.color ?? "#ff8800"} onInput={(event) => onChange({ color: event.currentTarget.value })} />
        )}
      </Field>
      <p class="hint">{t("keys")}</p>
    </Card>
  );
}

function ZoneFields({ zone, rules, onChange }: {
  zone: Zone;
  rules: string[];
  onChange: (change: Partial<Zone>) => void;
}): JSX.Element {
  return (
    <>
      <SelectField
        label={t("kind")}
        hint={t(`kind.${zone.kind}.hint`)}
        value={zone.kind}
        options={KINDS.map((value) => ({ value, label: t(`kind.${value}`) }))}
        onChange={(kind) => onChange({ kind })}
      />
      {rules.length > 1 && (
        <Choices
          label={t("rules")}
          hint={t("rules_hint")}
          options={rules.map((value) => ({ value, label: t.or(`rule.${value}`, value) }))}
          chosen={zone.rules ?? []}
          onChange={(chosen) => onChange({ rules: chosen.length > 0 ? chosen : undefined })}
        />
      )}
    </>
  );
}

function LineFields({ line, onChange }: { line: Line; onChange: (change: Partial<Line>) => void }): JSX.Element {
  const [a, b] = line.sides;
  const label = { both: t("both_ways", { a, b }), a_to_b: t("one_way", { a, b }), b_to_a: t("one_way", { a: b, b: a }) };
  return (
    <>
      <div class="form-row">
        <TextField label={t("side_a")} value={a} onInput={(side) => onChange({ sides: [side, b] })} maxLength={32} required />
        <TextField label={t("side_b")} value={b} onInput={(side) => onChange({ sides: [a, side] })} maxLength={32} required />
      </div>
      <SelectField
        label={t("direction")}
        hint={t("direction_hint")}
        value={line.direction}
        options={DIRECTIONS.map((value) => ({ value, label: label[value] }))}
        onChange={(direction) => onChange({ direction })}
      />
    </>
  );
}
