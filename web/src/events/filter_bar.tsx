/** The filters above the list. */

import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Camera } from "../api/cameras";
import { call } from "../api/client";
import { dayBegin } from "../days";
import { Button, Calendar, Dialog, FilterIcon, FlagIcon, SelectField, TextField } from "../parts";
import { day as dayName, number } from "../words";
import { t } from "../words/events";
import { LABELS, labelName, TYPES, typeName } from "./event";
import { type FilterName, type Filters, filtered } from "./filters";

const SEARCH_MS = 300;

export interface FilterBarProps {
  filters: Filters;
  cameras: readonly Camera[];
  onChange: (filters: Filters) => void;
  /** What a phone has no room for beside the title. */
  children: ComponentChildren;
}

export function FilterBar({ filters, cameras, onChange, children }: FilterBarProps): JSX.Element {
  const [open, setOpen] = useState(false);
  const [calendar, setCalendar] = useState(false);
  const set = (name: FilterName, value: string | undefined) => onChange({ ...filters, [name]: value || undefined });
  const active = Object.values(filters).filter(Boolean).length;
  const known = cameras.map(({ camera_id: value, name: label }) => ({ value, label }));
  if (filters.camera && !known.some(({ value }) => value === filters.camera)) {
    known.push({ value: filters.camera, label: filters.camera });
  }
  return (
    <div class="events-filters" role="search" aria-label={t("filters")}>
      <Search value={filters.plate ?? ""} onSearch={(value) => set("plate", value)} />
      <Button class="events-more" icon={FilterIcon} pressed={open} onClick={() => setOpen(!open)}>
        {active ? `${t("filters")} · ${number(active)}` : t("filters")}
      </Button>
      <div class={open ? "events-selects open" : "events-selects"}>
        <SelectField
          label={t("camera")}
          labelHidden
          value={filters.camera ?? ""}
          options={[{ value: "", label: t("all_cameras") }, ...known]}
          onChange={(value) => set("camera", value)}
        />
        <SelectField
          label={t("type")}
          labelHidden
          value={filters.type ?? ""}
          options={[{ value: "", label: t("all_types") }, ...TYPES.map((value) => ({ value, label: typeName(value) }))]}
          onChange={(value) => set("type", value)}
        />
        <SelectField
          label={t("label")}
          labelHidden
          value={filters.label ?? ""}
          options={[
            { value: "", label: t("all_labels") },
            ...LABELS.map((value) => ({ value, label: labelName(value) })),
          ]}
          onChange={(value) => set("label", value)}
        />
        <Delayed label={t("zone")} value={filters.zone ?? ""} onValue={(value) => set("zone", value)} />
        <Button pressed={Boolean(filters.day)} onClick={() => setCalendar(true)}>
          {filters.day ? dayName(dayBegin(filters.day)) : t("all_days")}
        </Button>
        <Hours value={filters.hours} onChange={(value) => set("hours", value)} />
        <Button
          icon={FlagIcon}
          pressed={filters.flagged === "true"}
          onClick={() => set("flagged", filters.flagged === "true" ? undefined : "true")}
        >
          {t("flagged_only")}
        </Button>
        {active > 0 && (
          <Button kind="quiet" onClick={() => onChange({})}>
            {t("clear")}
          </Button>
        )}
        <span class="events-exports">{children}</span>
      </div>
      {calendar && (
        <DayDialog
          filters={filters}
          onClose={() => setCalendar(false)}
          onChoose={(day) => {
            set("day", day);
            setCalendar(false);
          }}
        />
      )}
    </div>
  );
}

/** A text that becomes a filter once one stops typing. */
function useDelayed(value: string, onValue: (value: string) => void): [string, (text: string) => void] {
  const [text, setText] = useState(value);
  const timer = useRef(0);
  useEffect(() => {
    clearTimeout(timer.current);
    setText(value);
  }, [value]);
  useEffect(() => () => clearTimeout(timer.current), []);
  return [
    text,
    (next) => {
      setText(next);
      clearTimeout(timer.current);
      timer.current = setTimeout(() => onValue(next.trim()), SEARCH_MS);
    },
  ];
}

function Search({ value, onSearch }: { value: string; onSearch: (value: string) => void }): JSX.Element {
  const [text, setText] = useDelayed(value, onSearch);
  return (
    <div class="events-search">
      <TextField
        label={t("plate_search")}
        labelHidden
        type="search"
        placeholder={t("plate_search")}
        literal
        maxLength={32}
        value={text}
        onInput={setText}
      />
    </div>
  );
}

function Delayed(props: { label: string; value: string; onValue: (value: string) => void }): JSX.Element {
  const [text, setText] = useDelayed(props.value, props.onValue);
  return (
    <TextField
      label={props.label}
      labelHidden
      placeholder={props.label}
      literal
      maxLength={80}
      value={text}
      onInput={setText}
    />
  );
}

function Hours({ value, onChange }: { value?: string; onChange: (hours?: string) => void }): JSX.Element {
  const [from, setFrom] = useState(value?.slice(0, 5) ?? "");
  const [to, setTo] = useState(value?.slice(6) ?? "");
  useEffect(() => {
    if (value === undefined && from && to) {
      setFrom("");
      setTo("");
    }
  }, [value]);
  const tell = (start: string, end: string) => {
    setFrom(start);
    setTo(end);
    const hours = start && end ? `${start}-${end}` : undefined;
    if (hours !== value) onChange(hours);
  };
  return (
    <fieldset class="events-hours">
      <legend class="unseen">{t("hours")}</legend>
      <TextField label={t("hours_from")} labelHidden type="time" value={from} onInput={(start) => tell(start, to)} />
      <span aria-hidden="true">–</span>
      <TextField label={t("hours_to")} labelHidden type="time" value={to} onInput={(end) => tell(from, end)} />
    </fieldset>
  );
}

interface Days {
  days: { day: string; count: number }[];
}

function DayDialog(props: { filters: Filters; onChoose: (day?: string) => void; onClose: () => void }): JSX.Element {
  const { filters, onChoose, onClose } = props;
  const [days, setDays] = useState<ReadonlyMap<string, string>>(new Map());
  const load = (first: string, after: string) => {
    const path = filtered("api/events/days", { ...filters, day: undefined }, {
      timezone: null,
      since: dayBegin(first),
      until: dayBegin(after),
    });
    call<Days>(path)
      .then((found) => setDays(new Map(found.days.map(({ day, count }) => [day, number(count)]))))
      .catch(() => setDays(new Map()));
  };
  return (
    <Dialog
      title={t("day")}
      onClose={onClose}
      actions={
        <Button kind="quiet" onClick={() => onChoose(undefined)}>
          {t("all_days")}
        </Button>
      }
    >
      <Calendar value={filters.day} days={days} onMonth={load} onChoose={onChoose} />
    </Dialog>
  );
}
