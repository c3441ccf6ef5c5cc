/** Events as they happen: one socket for all components of the page. */

import { useEffect, useRef } from "preact/hooks";
import { Socket } from "./socket";

export interface EventMessage {
  type: "event";
  id: number;
  camera_id: string;
  /** The type of event, such as `smoking_started`. */
  event: string;
  /** When it happened, Unix seconds. */
  ts: number;
  track_id: number | null;
  person_id: number | null;
  bag_id: number | null;
  /** Left, top, right, bottom in pixels of the snapshot. */
  box: [number, number, number, number] | null;
  confidence: number | null;
  duration_s: number | null;
  /** Path of the blurred frame on this server. */
  snapshot: string | null;
  /** Path of the video around it, which may not be ready yet. */
  clip: string | null;
  details: Record<string, unknown>;
}

/** The server could not keep so many events for this page. */
export interface MissedMessage {
  type: "missed";
  events: number;
}

type Handler = (message: EventMessage | MissedMessage) => void;

const handlers = new Set<Handler>();
let socket: Socket | null = null;
let lastId: number | null = null;

function listen(handler: Handler): () => void {
  handlers.add(handler);
  // After a pause those that were missed come first.
  socket ??= new Socket(() => (lastId === null ? "ws/events" : `ws/events?last_event_id=${lastId}`), { onText });
  return () => {
    handlers.delete(handler);
    if (handlers.size > 0) return;
    socket?.close();
    socket = null;
    lastId = null;
  };
}

function onText(text: string): void {
  const message = JSON.parse(text) as EventMessage | MissedMessage;
  if (message.type === "event") lastId = message.id;
  for (const handler of [...handlers]) handler(message);
}

/** Calls the handler with each event that happens while the component is shown. */
export function useLiveEvents(handler: Handler): void {
  const newest = useRef(handler);
  newest.current = handler;
  useEffect(() => listen((message) => newest.current(message)), []);
}
