/** The dialog that adds or changes a target: fields by kind. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { useAction } from "../api/polling";
import { Button, Dialog, Field, Segments, SelectField, Switch, TextField } from "../parts";
import { LANGUAGES, language } from "../words";
import { t as common } from "../words/common";
import { t } from "../words/notifications";
import { addTarget, changeTarget, type Target } from "./api";
import { localZone } from "./zones";

const MASK = "***";
const KINDS = ["apprise", "mqtt", "webhook"] as const;
type FormKind = (typeof KINDS)[number];
type Values = Record<string, string | boolean>;

interface Input {
  name: string;
  type: "text" | "secret" | "number" | "switch" | "language" | "lines";
  required?: boolean;
  placeholder?: string;
  /** Shown only on request: most people need no other value. */
  further?: boolean;
  initial?: string | boolean;
}

const INPUTS: Record<FormKind, readonly Input[]> = {
  apprise: [
    { name: "url", type: "secret", required: true, placeholder: "tgram://…" },
    { name: "language", type: "language" },
    { name: "timezone", type: "text", initial: localZone() },
    { name: "snapshot", type: "switch", initial: true },
  ],
  mqtt: [
    { name: "host", type: "text", required: true, placeholder: "homeassistant.local" },
    { name: "username", type: "text" },
    { name: "password", type: "secret" },
    { name: "tls", type: "switch", initial: false },
    { name: "discovery", type: "switch", initial: true },
    { name: "commands", type: "switch", initial: true },
    { name: "snapshots", type: "switch", initial: true },
    { name: "port", type: "number", further: true },
    { name: "topic", type: "text", required: true, further: true, initial: "watchpost" },
    { name: "discovery_topic", type: "text", required: true, further: true, initial: "homeassistant" },
    { name: "ca", type: "lines", further: true },
  ],
  webhook: [
    { name: "url", type: "secret", required: true, placeholder: "https://…" },
    { name: "headers", type: "lines", further: true, placeholder: "Authorization: Bearer …" },
    { name: "signing_secret", type: "secret", further: true, placeholder: "whsec_…" },
  ],
};

interface TargetFormProps {
  /** The target to change; none: a new one. */
  target?: Target;
  onClose: () => void;
  onSecret: (secret: string | null) => void;
}

export function TargetForm({ target, onClose, onSecret }: TargetFormProps): JSX.Element {
  const [kind, setKind] = useState<FormKind>(KINDS.find((one) => one === target?.kind) ?? "apprise");
  const [name, setName] = useState(target?.name ?? "");
  const [values, setValues] = useState<Values>({});
  const [further, setFurther] = useState(false);
  const { busy, problem, run } = useAction();
  const inputs = INPUTS[kind];
  const save = async () => {
    const options = optionsOf(inputs, values, target);
    const done = await run(async () => {
      if (target) await changeTarget(target.target_id, { name, options });
      else onSecret((await addTarget(kind, name, options)).secret);
    });
    if (done) onClose();
  };
  return (
    <Dialog
      title={target ? target.name : t("add_target")}
      onClose={onClose}
      onSubmit={save}
      actions={
        <>
          <Button kind="quiet" onClick={onClose}>{common("cancel")}</Button>
          <Button type="submit" kind="primary" busy={busy}>{common(target ? "save" : "add")}</Button>
        </>
      }
    >
      {!target && (
        <Segments
          label={t("kind")}
          value={kind}
          options={KINDS.map((value) => ({ value, label: t(`kind.${value}`) }))}
          onChange={(value) => {
            setKind(value);
            setValues({});
          }}
        />
      )}
      <p class="hint">{t(`about.${kind}`)}</p>
      <TextField label={t("name")} value={name} onInput={setName} required maxLength={100} autoFocus />
      {inputs
        .filter((input) => further || !input.further)
        .map((input) => (
          <OptionInput
            key={`${kind}.${input.name}`}
            input={input}
            kind={kind}
            target={target}
            value={values[input.name] ?? shown(input, target)}
            onChange={(value) => setValues((known) => ({ ...known, [input.name]: value }))}
          />
        ))}
      {!further && inputs.some((input) => input.further) && (
        <Button kind="quiet" small onClick={() => setFurther(true)}>{t("further")}</Button>
      )}
      {problem && <p class="problem" role="alert">{problem}</p>}
    </Dialog>
  );
}

interface OptionInputProps {
  input: Input;
  kind: FormKind;
  target?: Target;
  value: string | boolean;
  onChange: (value: string | boolean) => void;
}

function OptionInput({ input, kind, target, value, onChange }: OptionInputProps): JSX.Element {
  const label = t.or(`option.${kind}.${input.name}`, t.or(`option.${input.name}`, input.name));
  const kept = target !== undefined && input.type !== "language" && isSecret(input, target);
  const hint = kept ? t("keeps") : t.or(`hint.${kind}.${input.name}`, "");
  if (input.type === "switch") {
    return <Switch label={label} checked={value === true} onChange={onChange} hint={hint || undefined} />;
  }
  const text = String(value);
  if (input.type === "language") {
    const options = Object.entries(LANGUAGES).map(([tag, name]) => ({ value: tag, label: name }));
    return <SelectField label={label} value={text} options={options} onChange={onChange} />;
  }
  if (input.type === "lines") {
    return (
      <Field label={label} hint={hint}>
        {(attributes) => (
          <textarea
            {...attributes}
            rows={3}
            spellcheck={false}
            placeholder={input.placeholder}
            value={text}
            onInput={(event) => onChange(event.currentTarget.value)}
          />
        )}
      </Field>
    );
  }
  return (
    <TextField
      label={label}
      hint={hint}
      value={text}
      onInput={onChange}
      type={input.type === "number" ? "number" : input.name === "password" ? "password" : "text"}
      autocomplete={input.name === "password" ? "new-password" : "off"}
      required={input.required && !kept}
      placeholder={input.placeholder}
      literal
    />
  );
}

/** Whether the server shows only a part of a value that it keeps. */
function isSecret(input: Input, target: Target): boolean {
  const value = target.options[input.name];
  return input.type === "secret" ? value !== null && value !== undefined : input.name === "headers" && value !== null;
}

/** What a field shows before something was entered. */
function shown(input: Input, target?: Target): string | boolean {
  if (!target) return input.initial ?? (input.type === "language" ? language.get() : input.type === "switch" ? false : "");
  const value = target.options[input.name];
  if (isSecret(input, target) || value === null || value === undefined || value === MASK) return input.type === "switch" ? false : "";
  return typeof value === "boolean" ? value : String(value);
}

/** The options that the form says; of a known target only those that were touched. */
function optionsOf(inputs: readonly Input[], values: Values, target?: Target): Record<string, unknown> {
  const options: Record<string, unknown> = {};
  for (const input of inputs) {
    const value = values[input.name] ?? (target ? undefined : shown(input));
    if (value === undefined) continue;
    const text = typeof value === "string" ? value.trim() : value;
    const secret = input.type === "secret" || input.name === "headers";
    if (text === "" && (!target || secret)) continue; // the server's default, or what it keeps
    options[input.name] = input.name === "headers" ? headersOf(String(text)) : text === "" ? null : input.type === "number" ? Number(text) : text;
  }
  return options;
}

function headersOf(text: string): Record<string, string> {
  const lines = text.split("\n").filter((line) => line.trim());
  return Object.fromEntries(
    lines.map((line) => {
      const [name = "", ...rest] = line.split(":");
      return [name.trim(), rest.join(":").trim()];
    }),
  );
}
