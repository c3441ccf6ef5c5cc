/** What is looked for in a camera's picture: the rules, with their settings explained. */

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { useAction, usePolled } from "../api/polling";
import { Button, Card, Form, type Hours, HoursField, Problem, Spinner, Switch, toast } from "../parts";
import { t as common } from "../words/common";
import { t as names } from "../words/names";
import { t } from "../words/rules";
import type { Analytics, CameraDetail, Rule, RuleSettings } from "./model";
import { SchemaField } from "./schema_field";

export function RulesTab({ camera, editable, onSave }: {
  camera: CameraDetail;
  editable: boolean;
  onSave: (changes: { analytics: Analytics }) => Promise<unknown>;
}): JSX.Element {
  const { data: rules, problem: unreachable, refresh } = usePolled<Rule[]>("api/rules", Infinity);
  const [analytics, setAnalytics] = useState(camera.analytics);
  const { busy, problem, run } = useAction();
  const stored = JSON.stringify(camera.analytics);
  const dirty = JSON.stringify(analytics) !== stored;
  useEffect(() => setAnalytics(camera.analytics), [stored]);
  if (!rules) return unreachable ? <Problem text={unreachable} onRetry={refresh} /> : <Spinner />;

  const toggle = (name: string, on: boolean) => {
    const { [name]: given, ...others } = analytics;
    setAnalytics(on ? { ...others, [name]: given ?? camera.analytics[name] ?? {} } : others);
  };
  const put = (name: string, setting: string, value: unknown) => {
    const { [setting]: _, ...others } = analytics[name] ?? {};
    setAnalytics({ ...analytics, [name]: value === undefined ? others : { ...others, [setting]: value } });
  };
  const save = async () => {
    if (await run(() => onSave({ analytics }))) toast(common("saved"));
  };
  return (
    <Form class="camera-rules" onSubmit={save}>
      {rules.some(({ available }) => !available) && <p class="notice warn">{t("unavailable")}</p>}
      <fieldset disabled={!editable} class="camera-rules-all">
        {rules.map((rule) => (
          <RuleCard
            key={rule.name}
            rule={rule}
            settings={analytics[rule.name]}
            onToggle={(on) => toggle(rule.name, on)}
            onChange={(setting, value) => put(rule.name, setting, value)}
          />
        ))}
      </fieldset>
      {problem && <Problem text={problem} />}
      {editable && (
        <div class="camera-save">
          <Button type="submit" kind="primary" busy={busy} disabled={!dirty}>{common("save")}</Button>
          <span class="hint">{dirty ? t("restarts") : ""}</span>
        </div>
      )}
    </Form>
  );
}

function RuleCard({ rule, settings, onToggle, onChange }: {
  rule: Rule;
  settings: RuleSettings | undefined;
  onToggle: (on: boolean) => void;
  onChange: (setting: string, value: unknown) => void;
}): JSX.Element {
  const on = settings !== undefined;
  const fields = Object.entries(rule.settings.properties).filter(([name]) => name !== "hours");
  return (
    <Card class="camera-rule">
      <Switch
        label={t.or(`rule.${rule.name}`, rule.name)}
        hint={t.or(`rule.${rule.name}.hint`, rule.summary)}
        checked={on}
        disabled={!rule.available && !on}
        onChange={onToggle}
      />
      <p class="camera-rule-events hint">
        {t("reports")} {Object.keys(rule.events).map((event) => names.or(`event.${event}`, event)).join(" · ")}
      </p>
      {on && (
        <details>
          <summary>{t("settings")}</summary>
          <div class="camera-rule-settings">
            {fields.map(([name, schema]) => (
              <SchemaField
                key={name}
                rule={rule.name}
                name={name}
                schema={schema}
                value={settings[name]}
                standard={rule.defaults[name]}
                onChange={(value) => onChange(name, value)}
              />
            ))}
            <HoursField
              value={(settings.hours ?? []) as Hours[]}
              onChange={(hours) => onChange("hours", hours.length > 0 ? hours : undefined)}
              hint={t("hours.hint")}
              always={t("hours.always")}
            />
          </div>
        </details>
      )}
    </Card>
  );
}
