/** Targets, routes and deliveries, as the server has them. */

import { call } from "../api/client";
import { refresh } from "../api/polling";
import type { Hours } from "../parts";

export type Kind = "webhook" | "mqtt" | "apprise" | "web_push";

export interface Target {
  target_id: number;
  kind: Kind | string;
  name: string;
  enabled: boolean;
  /** Secrets are masked. */
  options: Record<string, unknown>;
  created_ts: number;
  /** Why it cannot be used. */
  error: string | null;
}

/** The only reply that has the secret. */
export interface TargetMade extends Target {
  secret: string | null;
}

export interface Attempt {
  ok: boolean;
  /** What the other side said, or why it said nothing. */
  answer: string;
  seconds: number;
}

export interface Selection {
  name: string;
  enabled: boolean;
  targets: number[];
  cameras: string[];
  types: string[];
  labels: string[];
  zones: string[];
  hours: Hours[];
  timezone: string | null;
  max_per_minute: number | null;
  group_s: number;
}

export interface Route extends Selection {
  route_id: number;
  /** Events not sent because of `max_per_minute`. */
  suppressed: number;
}

export type DeliveryState = "waiting" | "sent" | "dead";

export interface Delivery {
  delivery_id: number;
  target_id: number;
  route_id: number | null;
  stream_id: string;
  event_ids: number[];
  state: DeliveryState;
  failures: number;
  created_ts: number;
  due_ts: number;
  finished_ts: number | null;
  answer: string | null;
}

export interface DeliveryPage {
  cursor: number | null;
  deliveries: Delivery[];
}

export const TARGETS = "api/targets";
export const ROUTES = "api/routes";
export const DELIVERIES = "api/deliveries";

/** The server gives the messenger or broker up to 40 seconds. */
const TEST_MS = 60_000;

export const EVERYTHING: Omit<Selection, "name" | "targets"> = {
  enabled: true,
  cameras: [],
  types: [],
  labels: [],
  zones: [],
  hours: [],
  timezone: null,
  max_per_minute: null,
  group_s: 0,
};

export async function addTarget(kind: string, name: string, options: object): Promise<TargetMade> {
  const made = await call<TargetMade>(TARGETS, { body: { kind, name, options } });
  refresh(TARGETS);
  return made;
}

export async function changeTarget(id: number, changes: object): Promise<void> {
  await call(`${TARGETS}/${id}`, { method: "PATCH", body: changes });
  refresh(TARGETS);
}

export async function removeTarget(id: number): Promise<void> {
  await call(`${TARGETS}/${id}`, { method: "DELETE" });
  for (const path of [TARGETS, ROUTES, DELIVERIES]) refresh(path);
}

/** Send a test message; a target that has ended at the other side is removed by it. */
export async function testTarget(id: number): Promise<Attempt> {
  const attempt = await call<Attempt>(`${TARGETS}/${id}/test`, { method: "POST", patienceMs: TEST_MS });
  if (!attempt.ok) refresh(TARGETS);
  return attempt;
}

export async function replaceSecret(id: number): Promise<string | null> {
  return (await call<TargetMade>(`${TARGETS}/${id}/rotate`, { method: "POST" })).secret;
}

export async function saveRoute(id: number | null, route: Selection): Promise<void> {
  if (id === null) await call(ROUTES, { body: route });
  else await call(`${ROUTES}/${id}`, { method: "PATCH", body: route });
  refresh(ROUTES);
}

export async function removeRoute(id: number): Promise<void> {
  await call(`${ROUTES}/${id}`, { method: "DELETE" });
  refresh(ROUTES);
}

/** A route for every event to one target. */
export async function sendEverything(target: Target): Promise<void> {
  await saveRoute(null, { ...EVERYTHING, name: target.name, targets: [target.target_id] });
}
