/** What the list of events shows; kept in the address, so that it can be shared and gone back to. */

import { withQuery } from "../api/client";
import type { EventMessage } from "../api/events";
import { dayBegin, ZONE } from "../days";
import { link } from "../shell/router";

const NAMES = ["camera", "type", "label", "zone", "plate", "day", "hours", "flagged"] as const;
export type FilterName = (typeof NAMES)[number];
export type Filters = Partial<Record<FilterName, string>>;

const HOURS = /^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$/;

export function filtersOf(query: URLSearchParams): Filters {
  const filters: Filters = {};
  for (const name of NAMES) {
    const value = query.get(name);
    if (value) filters[name] = value;
  }
  if (filters.hours && !HOURS.test(filters.hours)) delete filters.hours;
  if (filters.day && Number.isNaN(dayBegin(filters.day))) delete filters.day;
  return filters;
}

export function addressOf(filters: Filters, id?: number): string {
  return id === undefined ? link("events", filters) : link("events", String(id), filters);
}

/** A path of the server with these filters; a day shows what happened until its end. */
export function filtered(path: string, filters: Filters, more: Parameters<typeof withQuery>[1] = {}): string {
  const { day, hours, ...same } = filters;
  return withQuery(path, {
    ...same,
    hours,
    timezone: hours || "timezone" in more ? ZONE : null,
    until: day ? dayBegin(day, 1) : null,
    ...more,
  });
}

/** Whether an event that just happened belongs into the list. */
export function takes(filters: Filters, event: EventMessage): boolean {
  const { details } = event;
  const plate = typeof details.plate_number === "string" ? details.plate_number : "";
  const wanted = (filters.plate ?? "").toUpperCase().replace(/[\s.\-_/]/g, "");
  return (
    (!filters.camera || filters.camera === event.camera_id) &&
    (!filters.type || filters.type === event.event) &&
    (!filters.label || filters.label === details.label) &&
    (!filters.zone || filters.zone === details.zone) &&
    (!wanted || (plate !== "" && plate.startsWith(wanted))) &&
    (!filters.day || event.ts < dayBegin(filters.day, 1)) &&
    (!filters.hours || inHours(filters.hours, event.ts)) &&
    filters.flagged !== "true"
  );
}

function inHours(hours: string, seconds: number): boolean {
  const at = new Date(seconds * 1000);
  const minute = 60 * at.getHours() + at.getMinutes();
  const [start = 0, end = 0] = hours.split("-").map((time) => 60 * Number(time.slice(0, 2)) + Number(time.slice(3)));
  return start < end ? start <= minute && minute < end : minute >= start || minute < end;
}
