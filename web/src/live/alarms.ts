/** Events that light up a camera for a while. */

import { useEffect, useState } from "preact/hooks";
import { type EventMessage, useLiveEvents } from "../api/events";
import { t as names } from "../words/names";

const LIT_MS = 15_000;

/** Ends and everyday observations are in the list of events, and light up nothing. */
const QUIET = new Set([
  ...["smoking_ended", "bag_placed", "bag_reclaimed", "zone_left"],
  ...["object_appeared", "object_left", "plate_seen"],
]);

export type Alarms = ReadonlyMap<string, EventMessage>;

/** The newest alarm of each camera, for some seconds. */
export function useAlarms(): Alarms {
  const [alarms, setAlarms] = useState<Alarms>(new Map());
  useLiveEvents((message) => {
    if (message.type !== "event" || QUIET.has(message.event)) return;
    setAlarms((now) => new Map(now).set(message.camera_id, message));
    setTimeout(() => setAlarms((now) => without(now, message)), LIT_MS);
  });
  return alarms;
}

function without(alarms: Alarms, { camera_id: camera, id }: EventMessage): Alarms {
  if (alarms.get(camera)?.id !== id) return alarms;
  const rest = new Map(alarms);
  rest.delete(camera);
  return rest;
}

/** What happened, with what it is about: “Entered a zone: Gate”. */
export function titleOf({ event, details }: EventMessage): string {
  const readable = event.replaceAll("_", " ");
  const title = names.or(`event.${event}`, readable.charAt(0).toUpperCase() + readable.slice(1));
  const subject = [details.plate_number, details.zone, details.line].find((one) => typeof one === "string");
  return subject === undefined ? title : `${title}: ${subject as string}`;
}

/** The newest event of a camera that happened while the component is shown, for screen readers. */
export function useNews(): string {
  const [news, setNews] = useState("");
  useLiveEvents((message) => {
    if (message.type === "event" && !QUIET.has(message.event)) setNews(`${message.camera_id}: ${titleOf(message)}`);
  });
  useEffect(() => {
    const timer = setTimeout(() => setNews(""), LIT_MS);
    return () => clearTimeout(timer);
  }, [news]);
  return news;
}
