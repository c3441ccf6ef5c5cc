/** The subscription of this browser at the push service of its maker. */

import { at, call } from "../api/client";
import { remember, remembered } from "../stored";
import { language } from "../words";
import { TARGETS, addTarget, type Target } from "./api";
import { localZone } from "./zones";

/** Why this browser cannot be told of events. */
export type Obstacle = "insecure" | "install" | "unsupported" | "denied";

const WORKER = "static/app/service_worker.js";
const KEPT = "phone";

export function obstacle(): Obstacle | null {
  if (!isSecureContext) return "insecure";
  if (!("serviceWorker" in navigator) || !("PushManager" in window)) return isApple() ? "install" : "unsupported";
  return Notification.permission === "denied" ? "denied" : null;
}

/** Phones and tablets of Apple have push messages only for pages on the home screen. */
function isApple(): boolean {
  return /iPhone|iPad/.test(navigator.userAgent) || (navigator.platform === "MacIntel" && navigator.maxTouchPoints > 1);
}

/** A name for this device that others recognise in the list. */
export function deviceName(): string {
  const agent = navigator.userAgent;
  const browser = ["Edg", "OPR", "Firefox", "Chrome", "Safari"].find((name) => agent.includes(name)) ?? "";
  const system = ["iPhone", "iPad", "Android", "Windows", "Mac OS", "Linux"].find((name) => agent.includes(name)) ?? "";
  const known: Record<string, string> = { Edg: "Edge", OPR: "Opera" };
  return [known[browser] ?? browser, system].filter(Boolean).join(", ");
}

function registration(): Promise<ServiceWorkerRegistration | undefined> {
  return obstacle() === null ? navigator.serviceWorker.getRegistration(at("")) : Promise.resolve(undefined);
}

/** The id of the target of this browser, if it is subscribed. */
export async function subscribedTarget(): Promise<number | null> {
  const id = Number(remembered(KEPT));
  if (!id) return null;
  const subscription = await (await registration())?.pushManager.getSubscription();
  return subscription ? id : null;
}

/**
 * Subscribe this browser, and make it a target.
 *
 * Throws DOMException if the person or the push service refuses, and what `call` throws.
 */
export async function subscribe(name: string): Promise<Target> {
  const { public_key: key } = await call<{ public_key: string }>(`${TARGETS}/web-push-key`);
  await navigator.serviceWorker.register(trusted(at(WORKER).href), { scope: at("").href });
  const { pushManager } = await navigator.serviceWorker.ready;
  await (await pushManager.getSubscription())?.unsubscribe(); // the server removes what has ended
  const subscription = await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
  const { endpoint, keys = {} } = subscription.toJSON();
  const target = await addTarget("web_push", name, {
    endpoint,
    p256dh: keys.p256dh,
    auth: keys.auth,
    language: language.get(),
    timezone: localZone(),
  });
  remember(KEPT, `${target.target_id}`);
  return target;
}

interface TrustedTypes {
  createPolicy(name: string, rules: { createScriptURL(url: string): string }): { createScriptURL(url: string): string };
}

let policy: ReturnType<TrustedTypes["createPolicy"]> | undefined;

/** The URL of the service worker as browsers with trusted types want it; no other URL becomes one. */
function trusted(url: string): string {
  const { trustedTypes } = window as { trustedTypes?: TrustedTypes };
  policy ??= trustedTypes?.createPolicy("service-worker", {
    createScriptURL(given) {
      if (given !== at(WORKER).href) throw new TypeError("not the service worker");
      return given;
    },
  });
  return policy ? policy.createScriptURL(url) : url;
}

export async function unsubscribe(): Promise<void> {
  remember(KEPT, null);
  await (await (await registration())?.pushManager.getSubscription())?.unsubscribe();
}
