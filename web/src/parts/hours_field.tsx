/** The hours of a week in which something counts. */

import type { JSX } from "preact";
import { language } from "../words";
import { t as common } from "../words/common";
import { t } from "../words/hours";
import { Button, IconButton } from "./button";
import { Choices } from "./choices";
import { TextField } from "./fields";
import { AddIcon, DeleteIcon } from "./icons";

export const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;
export type Day = (typeof DAYS)[number];

export interface Hours {
  /** Those on which they begin; all unless given. */
  days?: string[];
  from: string;
  to: string;
}

const NIGHT: Hours = { from: "22:00", to: "06:00" };

export interface HoursFieldProps {
  value: Hours[];
  onChange: (value: Hours[]) => void;
  /** What the hours mean, and what it means that there are none. */
  hint: string;
  always: string;
}

export function HoursField({ value, onChange, hint, always }: HoursFieldProps): JSX.Element {
  const put = (index: number, change: Partial<Hours>) =>
    onChange(value.map((one, at) => (at === index ? { ...one, ...change } : one)));
  return (
    <fieldset class="hours">
      <legend>{t("hours")}</legend>
      <p class="hint">{value.length > 0 ? hint : always}</p>
      {value.map((one, index) => (
        <div class="hours-row" key={index}>
          <div class="hours-times">
            <TextField type="time" label={t("from")} value={one.from.slice(0, 5)} required onInput={(from) => put(index, { from })} />
            <TextField type="time" label={t("to")} value={one.to.slice(0, 5)} required onInput={(to) => put(index, { to })} />
            <IconButton icon={DeleteIcon} label={common("delete")} onClick={() => onChange(value.filter((_, at) => at !== index))} />
          </div>
          <Choices
            label={t("days")}
            options={DAYS.map((day) => ({ value: day, label: dayName(day) }))}
            chosen={one.days ?? [...DAYS]}
            onChange={(days) => days.length > 0 && put(index, { days })}
          />
        </div>
      ))}
      <Button small icon={AddIcon} onClick={() => onChange([...value, { ...NIGHT, days: [...DAYS] }])}>{t("add")}</Button>
    </fieldset>
  );
}

const MONDAY_MS = Date.UTC(2024, 0, 1);

/** A day's short name in the page's language. */
function dayName(day: string): string {
  const names = new Intl.DateTimeFormat(language.get(), { weekday: "short", timeZone: "UTC" });
  return names.format(MONDAY_MS + DAYS.findIndex((one) => one === day) * 86_400_000);
}

/** Hours in a few words: “Mon, Tue 22:00–06:00”. */
export function hoursText(hours: readonly Hours[]): string {
  return hours
    .map(({ days = [], from, to }) => {
      const some = days.length > 0 && days.length < DAYS.length;
      return `${some ? `${days.map(dayName).join(", ")} ` : ""}${from.slice(0, 5)}–${to.slice(0, 5)}`;
    })
    .join("; ");
}
