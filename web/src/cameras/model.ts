/** Cameras, zones, lines and rules as the server has them. */

import type { StreamState } from "../api/cameras";

export type Point = [x: number, y: number];
export type ZoneKind = "watch" | "ignore" | "count";
export type Direction = "both" | "a_to_b" | "b_to_a";

export interface Zone {
  kind: ZoneKind;
  name: string;
  /** Shares of the picture's width and height, 0 to 1. */
  points: Point[];
  color?: string;
  labels?: string[];
  rules?: string[];
}

export interface Line {
  name: string;
  points: [Point, Point];
  /** Names of the sides; the first is on the left hand of who walks from the first point to the second. */
  sides: [string, string];
  direction: Direction;
  color?: string;
  labels?: string[];
}

export interface Places {
  zones: Zone[];
  lines: Line[];
}

export const LABELS = [
  "person",
  "car",
  "motorcycle",
  "bus",
  "truck",
  "backpack",
  "handbag",
  "suitcase",
  "face",
  "plate",
  "cigarette",
] as const;

export const COLORS = ["#ff8800", "#2f9bff", "#e0559a", "#36b37e", "#a56bff", "#f5c518"] as const;

export type RuleSettings = Record<string, unknown>;
export type Analytics = Record<string, RuleSettings>;

/** What can be set; `GET /camera/{id}` also says what can not. */
export interface Settings {
  name: string;
  source: string;
  detect_url: string | null;
  transport: "tcp" | "udp";
  max_fps: number;
  downscale: number;
  rotate: 0 | 90 | 180 | 270;
  blur: "gaussian" | "pixelate" | "solid" | "off";
  blur_margin: number;
  loop: boolean;
  record: "off" | "events" | "continuous";
  clip_before_s: number;
  clip_after_s: number;
  stall_timeout_s: number | null;
  start_timeout_s: number | null;
  interval: number | null;
  analytics: Analytics;
  zones: Zone[];
  lines: Line[];
}

export interface CameraDetail extends Omit<Settings, "detect_url"> {
  camera_id: string;
  detect_url?: string;
  state: StreamState;
  last_error: string | null;
  numbers: { width: number | null; height: number | null; codec: string | null; output_fps: number; reconnects: number };
}

export interface PlaceCounts {
  zones: { name: string; now: Record<string, number>; today: Record<string, number> }[];
  lines: { name: string; today: { a_to_b: Record<string, number>; b_to_a: Record<string, number> } }[];
}

export interface CameraStats {
  faces: number;
  places?: PlaceCounts;
}

/** The part of JSON Schema that the settings of rules use. */
export interface Schema {
  type?: "number" | "integer" | "boolean" | "string" | "array" | "object" | "null";
  description?: string;
  default?: unknown;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  enum?: string[];
  items?: Schema & { $ref?: string };
  anyOf?: Schema[];
}

export interface Rule {
  name: string;
  summary: string;
  available: boolean;
  events: Record<string, string>;
  settings: { properties: Record<string, Schema> };
  defaults: RuleSettings;
}

export interface Maker {
  name: string;
  main: string;
  second: string | null;
  note: string | null;
}

export interface ConnectionReport {
  ok: boolean;
  error: { code: string; message: string } | null;
  advice: string | null;
  codec: string | null;
  width: number | null;
  height: number | null;
  fps: number | null;
  sound: string | null;
  seconds: number | null;
  jpeg: string | null;
  withheld: string | null;
}

export interface FoundCamera {
  host: string;
  service: string;
  name: string;
  hardware: string;
  location: string;
  cameras: string[];
}

export interface OnvifStream {
  name: string;
  url: string;
  codec: string;
  width: number | null;
  height: number | null;
  fps: number | null;
}

export interface OnvifDevice {
  maker: string;
  model: string;
  firmware: string;
  streams: OnvifStream[];
  main: number | null;
  second: number | null;
}

/** An address with a user and password, percent-encoded; what is no URL stays as it is. */
export function withLogin(address: string, user: string, password: string): string {
  const url = /^([a-z][a-z0-9+.-]*:\/\/)(?:[^/?#]*@)?(.*)$/i.exec(address);
  if (!url || !user) return address;
  const login = encodeURIComponent(user) + (password && `:${encodeURIComponent(password)}`);
  return `${url[1]}${login}@${url[2]}`;
}

export const ID = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$/;

/** What a camera's id may be, made from its name. */
export function idFrom(name: string, taken: readonly string[]): string {
  const plain = name
    .normalize("NFKD")
    .replace(/[^A-Za-z0-9._-]+/g, "-")
    .replace(/^[-.]+|[-.]+$/g, "")
    .toLowerCase()
    .slice(0, 48);
  const base = plain || "camera";
  let id = plain ? base : `${base}-1`;
  for (let number = 2; taken.includes(id); number++) id = `${base}-${number}`;
  return id;
}

/** A webcam's index is a number for the server, not a text. */
export function sourceOf(address: string): string | number {
  const text = address.trim();
  return /^\d{1,2}$/.test(text) ? Number(text) : text;
}

/** What differs from what the server has, as a PATCH takes it. */
export function changesOf<T extends object>(before: T, after: Partial<T>): Partial<T> {
  const changed = Object.entries(after).filter(
    ([name, value]) => JSON.stringify(value) !== JSON.stringify(before[name as keyof T]),
  );
  return Object.fromEntries(changed) as Partial<T>;
}
