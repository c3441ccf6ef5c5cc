/** The settings: those that can be changed now, and all others with the variable that sets them. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { call } from "../api/client";
import { refresh, useAction, usePolled } from "../api/polling";
import {
  Button,
  Card,
  type Column,
  copy,
  Form,
  Problem,
  SelectField,
  Spinner,
  Table,
  TextField,
  toast,
} from "../parts";
import { bytes } from "../words";
import { t as common } from "../words/common";
import { t } from "../words/system";
import { SETTINGS, type Setting } from "./api";

const LEVELS = ["debug", "info", "warning", "error", "critical"] as const;
const LEVEL = "log_level";

export function Settings(): JSX.Element {
  const { data: settings, problem, refresh: retry } = usePolled<Setting[]>(SETTINGS, Infinity);
  const [search, setSearch] = useState("");
  if (!settings) return problem ? <Problem text={problem} onRetry={retry} /> : <Spinner />;
  const wanted = settings.filter((one) => !one.live && `${one.name} ${one.variable} ${one.description}`.toLowerCase().includes(search.toLowerCase()));
  return (
    <>
      <Card title={t("live_settings")}>
        <p class="quiet-text">{t("live_settings_text")}</p>
        <LiveForm key={JSON.stringify(settings)} settings={settings.filter((one) => one.live)} />
      </Card>
      <Card title={t("other_settings")}>
        <p class="quiet-text">{t("other_settings_text")}</p>
        <TextField label={common("search")} labelHidden placeholder={common("search")} type="search" value={search} onInput={setSearch} />
        <Table label={t("other_settings")} columns={COLUMNS()} rows={wanted} keyOf={(one) => one.name} empty={<p class="quiet-text">{t("no_settings")}</p>} />
      </Card>
    </>
  );
}

function LiveForm({ settings }: { settings: Setting[] }): JSX.Element {
  const [given, setGiven] = useState<Record<string, string>>({});
  const { busy, problem, run } = useAction();
  const save = async () => {
    const values = Object.fromEntries(Object.entries(given).map(([name, text]) => [name, valueOf(name, text)]));
    if (await run(() => call(SETTINGS, { method: "PATCH", body: { values } }))) {
      toast(common("saved"));
      refresh(SETTINGS);
    }
  };
  const set = (name: string) => (text: string) => setGiven((known) => ({ ...known, [name]: text }));
  return (
    <Form onSubmit={save}>
      <div class="system-fields">
        {settings.map((one) => (
          <LiveField key={one.name} setting={one} text={given[one.name] ?? textOf(one.value)} onInput={set(one.name)} />
        ))}
      </div>
      {Object.keys(given).length > 0 && <Variables settings={settings} given={given} />}
      {problem && <p class="problem" role="alert">{problem}</p>}
      <Button type="submit" kind="primary" busy={busy} disabled={Object.keys(given).length === 0}>{common("save")}</Button>
    </Form>
  );
}

function LiveField({ setting, text, onInput }: { setting: Setting; text: string; onInput: (text: string) => void }): JSX.Element {
  const label = t.or(`setting.${setting.name}`, setting.name);
  const about = t.or(`setting.${setting.name}.hint`, setting.description);
  if (setting.name === LEVEL) {
    const options = LEVELS.map((value) => ({ value: value as string, label: value }));
    return <SelectField label={label} hint={about} value={text} options={options} onChange={onInput} />;
  }
  const size = text && setting.name.startsWith("space.") && !setting.name.endsWith("days") && !setting.name.endsWith("events") ? ` ${bytes(Number(text))}` : "";
  const unlimited = setting.default === null || setting.value === null;
  return (
    <TextField
      label={label}
      hint={`${about}${size}`}
      type="number"
      step="any"
      min={0}
      required={!unlimited && setting.default !== null}
      placeholder={unlimited ? t("no_limit") : undefined}
      value={text}
      onInput={onInput}
    />
  );
}

/** What keeps the changes over a restart. */
function Variables({ settings, given }: { settings: Setting[]; given: Record<string, string> }): JSX.Element {
  const lines = settings.filter((one) => one.name in given).map((one) => `${one.variable}=${given[one.name]}`);
  return (
    <div class="notice warn">
      <span>
        {t("until_restart")}
        <span class="code system-below system-lines">{lines.join("\n")}</span>
      </span>
      <Button small onClick={() => copy(lines.join("\n"))}>{common("copy")}</Button>
    </div>
  );
}

const valueOf = (name: string, text: string) => (name === LEVEL ? text : text === "" ? null : Number(text));

function textOf(value: unknown): string {
  if (value === null || value === undefined) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

const COLUMNS = (): Column<Setting>[] => [
  {
    name: "setting",
    title: t("setting"),
    cell: (one) => (
      <>
        <span class="code">{one.variable}</span>
        <span class="quiet-text system-below">{one.description}</span>
      </>
    ),
  },
  {
    name: "value",
    title: t("value"),
    cell: (one) => (
      <>
        <span class="code">{textOf(one.value) || "–"}</span>
        {textOf(one.value) !== textOf(one.default) && <span class="quiet-text system-below">{t("default", { value: textOf(one.default) || "–" })}</span>}
      </>
    ),
  },
];
