/** Calls of this page's server: one wrapper around fetch, with the server's words for errors. */

import { createStore } from "../store";
import { language } from "../words";
import { t } from "../words/common";

const PATIENCE_MS = 15_000;

/** The server refused a call; `message` is its text in the page's language. */
export class Refused extends Error {
  readonly code: string;
  readonly details: Record<string, unknown>;

  constructor(
    readonly status: number,
    body: { code?: string; message?: string; details?: Record<string, unknown> },
  ) {
    super(body.message ?? `HTTP ${status}`);
    this.code = body.code ?? "";
    this.details = body.details ?? {};
  }
}

/** Whether the server has refused a call because it must know who calls. */
export const locked = createStore(false);

/** The URL of a path on this server, also behind a proxy that serves it below another path. */
export function at(path: string): URL {
  return new URL(`./${path.replace(/^\/+/, "")}`, document.baseURI.split(/[?#]/)[0]);
}

/** The same for a WebSocket. */
export function socketAt(path: string): URL {
  const url = at(path);
  url.protocol = url.protocol.replace("http", "ws");
  return url;
}

/** A path with its query; values that are null or undefined are left out, arrays are repeated. */
export function withQuery(
  path: string,
  query: Record<string, string | number | boolean | null | undefined | readonly string[]>,
): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === null || value === undefined || value === "") continue;
    if (typeof value === "object") for (const one of value) parameters.append(name, one);
    else parameters.set(name, String(value));
  }
  const text = parameters.toString();
  return text ? `${path}?${text}` : path;
}

export interface CallOptions {
  method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Sent as JSON, or as it is if it is a FormData or a Blob. */
  body?: unknown;
  signal?: AbortSignal;
  /** For calls that wait, such as the start of a stream. */
  patienceMs?: number;
}

/**
 * GET or, with a body, POST; the reply's JSON.
 *
 * Throws Refused with any status but 2xx, and TypeError or DOMException when the server cannot be
 * reached.
 */
export async function call<T>(path: string, options: CallOptions = {}): Promise<T> {
  const { body, method = body === undefined ? "GET" : "POST", signal, patienceMs = PATIENCE_MS } = options;
  const raw = body instanceof FormData || body instanceof Blob;
  const patience = AbortSignal.timeout(patienceMs);
  const response = await fetch(at(path), {
    method,
    headers: {
      Accept: "application/json",
      "Accept-Language": language.get(),
      ...(body !== undefined && !raw && { "Content-Type": "application/json" }),
    },
    body: body === undefined ? undefined : raw ? body : JSON.stringify(body),
    cache: "no-store",
    signal: signal ? AbortSignal.any([signal, patience]) : patience,
  });
  const reply: unknown = await response.json().catch(() => ({}));
  if (!response.ok) {
    if (response.status === 401 && method === "GET") locked.set(true);
    throw new Refused(response.status, reply as object);
  }
  return reply as T;
}

/** Why a call failed, in words. */
export function problemOf(error: unknown): string {
  return error instanceof Refused ? error.message : t("unreachable");
}

/**
 * Store the token in a cookie that no script can read; whether the token is valid.
 *
 * The server sets the cookie on pages that are requested with the token. A request from here, not
 * from the address bar, keeps the token out of the browser's history.
 */
export async function useToken(token: string): Promise<boolean> {
  const page = at("");
  page.searchParams.set("token", token);
  await fetch(page, { headers: { Accept: "text/html" }, cache: "no-store" });
  try {
    await call("api/account");
    return true;
  } catch (error) {
    if (error instanceof Refused && error.status === 401) return false;
    throw error;
  }
}
