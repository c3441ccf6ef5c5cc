/** A month of days to choose from; days that have something are marked. */

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { isoDay } from "../days";
import { language, number } from "../words";
import { t } from "../words/common";
import { IconButton } from "./button";
import { BackIcon, ForwardIcon } from "./icons";

export interface CalendarProps {
  /** The chosen day, as `2026-02-03`. */
  value: string | undefined;
  onChoose: (day: string) => void;
  /** How much each day has, by day; what is not in it cannot be chosen. */
  days: ReadonlyMap<string, string>;
  /** A month is shown whose days are not known yet; `first` and `after` are the days around it. */
  onMonth: (first: string, after: string) => void;
}

const MONDAY = new Date(2024, 0, 1);

function monthOf(day: string | undefined): Date {
  const date = day ? new Date(`${day}T00:00`) : new Date();
  return new Date(date.getFullYear(), date.getMonth(), 1);
}

export function Calendar({ value, onChoose, days, onMonth }: CalendarProps): JSX.Element {
  const [month, setMonth] = useState(() => monthOf(value));
  const grid = useRef<HTMLDivElement>(null);
  const after = new Date(month.getFullYear(), month.getMonth() + 1, 1);
  const first = isoDay(month);
  useEffect(() => onMonth(first, isoDay(after)), [first]);
  const move = (months: number) => setMonth(new Date(month.getFullYear(), month.getMonth() + months, 1));
  const format = (date: Date, options: Intl.DateTimeFormatOptions) =>
    new Intl.DateTimeFormat(language.get(), options).format(date);
  const blanks = (month.getDay() + 6) % 7;
  const count = Math.round((after.getTime() - month.getTime()) / 86_400_000);
  const dates = Array.from({ length: count }, (_, index) => new Date(month.getFullYear(), month.getMonth(), index + 1));
  return (
    <div class="calendar">
      <div class="calendar-head">
        <IconButton icon={BackIcon} label={t("previous")} onClick={() => move(-1)} />
        <strong aria-live="polite">{format(month, { month: "long", year: "numeric" })}</strong>
        <IconButton icon={ForwardIcon} label={t("next")} disabled={after > new Date()} onClick={() => move(1)} />
      </div>
      <div class="calendar-grid" ref={grid}>
        {Array.from({ length: 7 }, (_, index) => (
          <span key={index} class="calendar-weekday" aria-hidden="true">
            {format(new Date(MONDAY.getTime() + index * 86_400_000), { weekday: "narrow" })}
          </span>
        ))}
        {dates.map((date, index) => {
          const day = isoDay(date);
          const has = days.get(day);
          return (
            <button
              key={day}
              type="button"
              class={index === 0 ? `calendar-day from-${blanks}` : "calendar-day"}
              disabled={has === undefined}
              aria-pressed={day === value}
              onClick={() => onChoose(day)}
            >
              <span aria-hidden="true">{number(index + 1)}</span>
              <small aria-hidden="true">{has}</small>
              <span class="unseen">{[format(date, { dateStyle: "full" }), has].filter(Boolean).join(", ")}</span>
            </button>
          );
        })}
      </div>
    </div>
  );
}
