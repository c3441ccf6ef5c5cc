/** The state of the watched stream as text: for the pill, the curtain and the banner. */

import { t } from "./i18n.js";

/**
 * @typedef {import("./connection.js").Connection} Connection
 * @typedef {import("./wire.js").Hello} Hello
 * @typedef {import("./wire.js").Result} Result
 * @typedef {import("./wire.js").StreamState} StreamState
 *
 * @typedef {object} Curtain  shown in place of the video
 * @property {string} title
 * @property {string} [text]
 * @property {string} [action]  label of the button
 * @property {boolean} [busy]
 */

/** The watched stream. */
export class Watch {
  /** @type {Connection | null} */
  connection = null;
  /** @type {Hello | null} */
  hello = null;
  /** @type {StreamState | null} */
  state = null;
  reason = "";
  /** @type {Result | null} the newest one */
  result = null;
  hasPicture = false;

  get name() {
    return this.hello?.name || this.connection?.streamId || "";
  }
}

/**
 * The state to show: that of the stream, or of the connection.
 *
 * @param {Watch} watch
 * @returns {StreamState | "idle" | "silent" | "lost" | "ended"}
 */
export function markOf({ connection, state }) {
  switch (connection?.link.kind) {
    case undefined:
      return "idle";
    case "connecting":
      return "starting";
    case "waiting":
      return "lost";
    case "open":
      return state === "running" && connection?.silence ? "silent" : (state ?? "starting");
    default:
      return "ended";
  }
}

/**
 * @param {Watch} watch
 * @returns {Curtain | null} null while there is video
 */
export function curtainOf(watch) {
  const { connection, hasPicture } = watch;
  const id = connection?.streamId ?? "";
  const link = connection?.link;
  switch (link?.kind) {
    case undefined:
      return { title: t("stage.idle"), text: t("stage.idle_text") };
    case "connecting":
      return { title: t("link.connecting", { id }), busy: true };
    case "unknown":
      return { title: t("link.unknown", { id }), text: t("link.unknown_text"), action: t("link.once_more") };
    case "ended":
      return { title: t("link.ended"), text: because(link.reason), action: t("link.again") };
    case "refused":
      return { title: t("link.refused"), text: because(link.reason), action: t("link.once_more") };
    case "locked":
      return { title: t("link.locked"), action: t("token.open") };
    case "waiting":
      return hasPicture ? null : { title: t("link.lost"), busy: true };
    case "open":
      return hasPicture ? null : beforeFirst(watch);
  }
}

/** @param {Watch} watch  connected, but without a frame yet @returns {Curtain} */
function beforeFirst({ state, reason }) {
  const trouble = troubleOf(state);
  const over = state === "failed" || state === "stopped";
  return { title: trouble || t("stage.first"), text: trouble && because(reason), busy: !over };
}

/**
 * The banner's text while the video is not live; empty for none.
 *
 * @param {Watch} watch
 */
export function bannerOf({ connection, state, reason, hasPicture }) {
  const link = connection?.link;
  if (link?.kind === "waiting") {
    const left = Math.ceil((link.retryAt - performance.now()) / 1000);
    const next = left > 0 ? t("link.retry", { n: left }) : t("link.retrying");
    return `${t(link.gone ? "link.gone" : "link.lost")} ${next}`;
  }
  if (link?.kind !== "open" || !hasPicture) return "";
  const trouble = troubleOf(state);
  if (trouble) return `${trouble} ${because(reason)}`.trim();
  const silence = connection?.silence ?? 0;
  return silence ? t("link.silent", { n: Math.round(silence / 1000) }) : "";
}

/** @param {StreamState | null} state */
function troubleOf(state) {
  if (state === "reconnecting") return t("link.source");
  if (state === "stopped") return t("link.stopped");
  return state === "failed" ? t("link.failed") : "";
}

/** @param {string} reason */
function because(reason) {
  return reason && t("link.reason", { reason });
}
