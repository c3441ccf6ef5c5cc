/** An event as the list has it, and its words. */

import type { EventMessage } from "../api/events";
import { t as names } from "../words/names";

export interface Comment {
  text: string;
  by: string;
  ts: number;
}

export interface StoredEvent extends EventMessage {
  /** The number of a plate that was seen. */
  plate?: string;
  /** A person marked it as important. */
  flagged?: boolean;
  comment?: Comment;
}

export const TYPES = [
  "object_appeared",
  "object_left",
  "zone_entered",
  "zone_left",
  "zone_loitering",
  "line_crossed",
  "plate_seen",
  "plate_match",
  "smoking_started",
  "smoking_ended",
  "bag_placed",
  "bag_unattended",
  "bag_abandoned",
  "bag_taken",
  "bag_reclaimed",
  "camera_moved",
] as const;

export const LABELS = [
  "person",
  "car",
  "truck",
  "bus",
  "motorcycle",
  "backpack",
  "handbag",
  "suitcase",
  "object",
] as const;

export function typeName(type: string): string {
  const readable = type.replaceAll("_", " ");
  return names.or(`event.${type}`, readable.charAt(0).toUpperCase() + readable.slice(1));
}

export function labelName(label: string): string {
  return names.or(`name.${label}`, label);
}

export function plateOf({ plate, details }: StoredEvent): string | undefined {
  return plate ?? (typeof details.plate_number === "string" ? details.plate_number : undefined);
}

const text = (value: unknown): string | undefined => (typeof value === "string" && value ? value : undefined);

/** What the event is about, in order of interest: a plate, an object, a zone, a line. */
export function subjects(event: StoredEvent): string[] {
  const { details } = event;
  const label = text(details.label);
  return [plateOf(event), label && labelName(label), text(details.zone), text(details.line)].filter(
    (one): one is string => one !== undefined,
  );
}
