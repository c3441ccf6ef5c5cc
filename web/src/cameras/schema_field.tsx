/** A form field for one setting of a rule, from its JSON Schema. */

import type { JSX } from "preact";
import { Choices, SelectField, Switch, TextField } from "../parts";
import { t as names } from "../words/names";
import { t } from "../words/rules";
import type { Schema } from "./model";

export interface SchemaFieldProps {
  rule: string;
  name: string;
  schema: Schema;
  /** What the camera has; undefined: the server's default. */
  value: unknown;
  standard: unknown;
  onChange: (value: unknown) => void;
}

export function SchemaField(props: SchemaFieldProps): JSX.Element | null {
  const { rule, name, schema, value, standard, onChange } = props;
  const label = t.or(`${rule}.${name}`, t.or(name, name));
  const about = t.or(`${rule}.${name}.hint`, t.or(`${name}.hint`, schema.description ?? ""));
  const kind = schema.type ?? schema.anyOf?.find(({ type }) => type !== "null")?.type;
  if (kind === "number" || kind === "integer") {
    const limits = {
      min: schema.minimum ?? schema.exclusiveMinimum,
      max: schema.maximum ?? schema.exclusiveMaximum,
      step: kind === "integer" ? 1 : ("any" as const),
    };
    return (
      <TextField
        type="number"
        label={label}
        hint={`${about} ${t("default", { value: String(standard ?? "") })}`}
        value={value === undefined ? "" : String(value)}
        placeholder={String(standard ?? "")}
        {...limits}
        onInput={(text) => onChange(text === "" ? undefined : Number(text))}
      />
    );
  }
  if (kind === "boolean") {
    return <Switch label={label} hint={about} checked={Boolean(value ?? standard)} onChange={onChange} />;
  }
  if (kind === "array" && schema.items?.enum) {
    const options = schema.items.enum.map((one) => ({ value: one, label: names.or(`name.${one}`, names.or(`event.${one}`, one)) }));
    return <Choices label={label} hint={about} options={options} chosen={(value ?? standard ?? []) as string[]} onChange={onChange} />;
  }
  if (kind === "string" && schema.enum) {
    const options = schema.enum.map((one) => ({ value: one, label: one }));
    return <SelectField label={label} hint={about} value={String(value ?? standard ?? "")} options={options} onChange={onChange} />;
  }
  if (kind !== "string") return null;
  return (
    <TextField
      label={label}
      hint={about}
      value={String(value ?? "")}
      placeholder={String(standard ?? "")}
      onInput={(text) => onChange(text === "" ? undefined : text)}
      literal
    />
  );
}
