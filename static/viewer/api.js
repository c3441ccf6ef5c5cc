/** HTTP calls to this page's server. */

import { current, t } from "./i18n.js";

const PATIENCE_MS = 10_000;

/** The server replied with an error. */
export class Refused extends Error {
  /**
   * @param {number} status
   * @param {{code?: string, message?: string}} body
   */
  constructor(status, body) {
    super(body.message ?? `HTTP ${status}`);
    this.status = status;
    this.code = body.code ?? "";
  }
}

/**
 * The URL of a path on this server, also behind a proxy that serves it below another path.
 *
 * @param {string} path  with or without the leading slash
 * @returns {URL}
 */
export function at(path) {
  return new URL(`./${path.replace(/^\/+/, "")}`, document.baseURI.split(/[?#]/)[0]);
}

/**
 * @param {string} streamId
 * @returns {URL} the URL of a stream's WebSocket
 */
export function socketAt(streamId) {
  const url = at(`ws/stream/${encodeURIComponent(streamId)}`);
  url.protocol = url.protocol.replace("http", "ws");
  return url;
}

/**
 * GET or, with a body, POST; the reply's JSON.
 *
 * @param {string} path
 * @param {object} [body]
 * @param {string} [method]  if it is another one
 * @returns {Promise<any>}
 * @throws {Refused} with any status but 2xx
 * @throws {TypeError | DOMException} when the server cannot be reached
 */
export async function call(path, body, method = body ? "POST" : "GET") {
  const response = await fetch(at(path), {
    method,
    headers: {
      "Accept": "application/json",
      "Accept-Language": current(),
      ...(body && { "Content-Type": "application/json" }),
    },
    body: body && JSON.stringify(body),
    cache: "no-store",
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  const reply = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(response.status, reply);
  return reply;
}

/**
 * Store the token in a cookie that no script can read.
 *
 * The server sets the cookie on pages that are requested with the token. A request from here, not
 * from the address bar, keeps the token out of the browser's history.
 *
 * @param {string} token
 * @returns {Promise<boolean>} whether the token is valid
 */
export async function useToken(token) {
  const page = at("viewer");
  page.searchParams.set("token", token);
  await fetch(page, { headers: { Accept: "text/html" }, cache: "no-store" });
  return (await probe()) !== "locked";
}

/**
 * Whether the page can use the server.
 *
 * @returns {Promise<"fine" | "locked" | "unreachable">}
 */
export async function probe() {
  try {
    await call("cameras");
    return "fine";
  } catch (error) {
    if (error instanceof Refused) return error.status === 401 ? "locked" : "fine";
    return "unreachable";
  }
}

/**
 * Run a call; the server's words if it refuses, or nothing.
 *
 * @param {() => Promise<unknown>} action
 * @param {(code: string) => void} [onRefused]  gets the error's code
 * @returns {Promise<string>}
 */
export async function attempt(action, onRefused) {
  try {
    await action();
    return "";
  } catch (error) {
    if (!(error instanceof Refused)) return t("token.unreachable");
    onRefused?.(error.code);
    return error.message;
  }
}
