/** The messages of a stream's two sockets that the page uses; `/docs` has the full description. */

import type { StreamState } from "../api/cameras";
import type { EventMessage, MissedMessage } from "../api/events";

export interface Detection {
  track_id: number | null;
  label: string;
  /** 0 to 1. */
  confidence: number;
  /** Left, top, right, bottom in pixels of the frame. */
  box: [number, number, number, number];
}

export type Point = [number, number];

/** Points are shares of the frame's width and height. */
export interface Zone {
  kind: "watch" | "ignore" | "count";
  name: string;
  points: Point[];
  color?: string;
}

export interface Line {
  name: string;
  points: [Point, Point];
  /** A is on the left hand from the first point to the second. */
  sides: [string, string];
  color?: string;
}

export interface Places {
  zones: Zone[];
  lines: Line[];
}

export interface Hello {
  type: "hello";
  name: string;
  state: StreamState;
  blur: string;
  analytics: string[];
  zones?: Zone[];
  lines?: Line[];
}

/** A frame without its picture. */
export interface FrameInfo {
  frame: number;
  /** When the frame was captured, Unix seconds on the server's clock. */
  ts: number;
  /** Size of the frame that the boxes are in; 0 without boxes. */
  width: number;
  height: number;
  /** null: not known. */
  detections: Detection[] | null;
}

/** What was detected in a frame. */
export interface Result extends FrameInfo {
  type: "result";
  fps: number;
  latency_ms: number;
  detections: Detection[];
}

/** Describes the initialisation segment that follows, and the fragments after it. */
export interface VideoKind {
  type: "video";
  codec: string;
  timescale: number;
}

/** Describes the fragment that follows. */
export interface VideoFrame extends FrameInfo {
  type: "frame";
  /** How old it was when it was sent. */
  age_ms: number;
  /** When it is to be shown, in units of `timescale`. */
  time: number;
}

export interface StateChange {
  type: "state";
  state: StreamState;
  reason: string | null;
}

export interface End {
  type: "end";
  reason: string | null;
}

export interface Failure {
  type: "error";
  code: string;
  message: string;
}

export type Message =
  | Hello
  | Result
  | VideoKind
  | VideoFrame
  | StateChange
  | End
  | Failure
  | EventMessage
  | MissedMessage;

/** The message of a text, or null for one that this page does not know. */
export function parse(text: string): Message | null {
  try {
    const message: unknown = JSON.parse(text);
    const known = typeof message === "object" && message !== null && "type" in message;
    return known ? (message as Message) : null;
  } catch {
    return null;
  }
}
