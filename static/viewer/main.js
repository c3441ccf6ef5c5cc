/** The page: which stream is watched, and what everybody is told about it. */

import { call } from "./api.js";
import { Connection } from "./connection.js";
import { announce, byId, copy, tell, write } from "./dom.js";
import { Events } from "./events.js";
import * as i18n from "./i18n.js";
import { summary } from "./labels.js";
import { Rows } from "./rows.js";
import { showAddresses } from "./share.js";
import { Stage } from "./stage.js";
import { Streams } from "./streams.js";
import { TokenForm, hideFromAddress } from "./token.js";
import { Webcam } from "./webcam.js";

/**
 * @typedef {import("./connection.js").Link} Link
 * @typedef {import("./wire.js").Hello} Hello
 * @typedef {import("./wire.js").Message} Message
 * @typedef {import("./wire.js").Result} Result
 * @typedef {import("./wire.js").StreamState} StreamState
 */

const { t } = i18n;
const DESCRIBE_MS = 5000;
const RAW_MS = 250;

/** What is watched now. */
class Watch {
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
  raw = "";

  get name() {
    return this.hello?.name || this.connection?.streamId || "";
  }
}

let watch = new Watch();
let describedAt = -DESCRIBE_MS;
let rawTimer = 0;
let wasLost = false;

hideFromAddress();
i18n.begin();

const stage = new Stage(
  /** @type {HTMLCanvasElement} */ (byId("picture")),
  /** @type {HTMLCanvasElement} */ (byId("boxes")),
  onShown,
);
const rows = new Rows(byId("rows"), byId("rows-none"));
const events = new Events(byId("events"), byId("events-none"));
const tokenForm = new TokenForm(onUnlocked);
const streams = new Streams(go, () => tokenForm.ask());
new Webcam({
  onStream: go,
  onStopped: (streamId) => watch.connection?.streamId === streamId && leave(),
  onLocked: () => tokenForm.ask(),
});

// ── which stream ───────────────────────────────────────────────────────────────────────────────

/** The stream that the page's address names, or null. */
function addressed() {
  const fragment = location.hash.slice(1);
  try {
    return decodeURIComponent(fragment) || new URLSearchParams(location.search).get("stream");
  } catch {
    return fragment; // a percent sign that encodes nothing
  }
}

/** Watch a stream, with an address of its own to come back to. @param {string} streamId */
function go(streamId) {
  const url = new URL(location.href);
  url.searchParams.delete("stream");
  url.hash = encodeURIComponent(streamId);
  if (url.href !== location.href) history.pushState(null, "", url);
  begin(streamId);
}

/** Stop watching. */
function leave() {
  const url = new URL(location.href);
  url.searchParams.delete("stream");
  url.hash = "";
  history.pushState(null, "", url.href.replace(/#$/, ""));
  end();
}

/** @param {string} streamId */
function begin(streamId) {
  end();
  wasLost = false;
  /** @type {HTMLInputElement} */ (byId("stream-id")).value = streamId;
  const mine = (watch = new Watch());
  const onlyMine = (/** @type {(...args: any[]) => void} */ handler) => (/** @type {any[]} */ ...args) => {
    if (watch === mine) handler(...args);
  };
  mine.connection = new Connection(streamId, {
    onLink: onlyMine(onLink),
    onMessage: onlyMine(onMessage),
    onPicture: onlyMine(onPicture),
  });
  streams.mark(streamId);
  render();
  if (innerWidth < 900) byId("stage").scrollIntoView({ block: "nearest" });
}

function end() {
  watch.connection?.close();
  watch = new Watch();
  stage.clear();
  rows.clear();
  events.clear();
  write(byId("raw-text"), "");
  streams.mark(null);
  render();
}

/** The address changed under the page: back, forward, or typed. */
function follow() {
  const streamId = addressed();
  if (streamId === (watch.connection?.streamId ?? null)) return;
  if (streamId) begin(streamId);
  else end();
}

function onUnlocked() {
  streams.refresh();
  loadVersion();
  const streamId = watch.connection?.streamId ?? addressed();
  if (streamId && watch.connection?.link.kind !== "open") begin(streamId);
}

// ── what comes from the server ─────────────────────────────────────────────────────────────────

/** @param {Link} link */
function onLink(link) {
  if (link.kind === "locked") tokenForm.ask();
  if (link.kind === "ended" || link.kind === "unknown") streams.refresh();
  render();
  announceLink(link);
}

/** @param {Message} message @param {string} text */
function onMessage(message, text) {
  watch.raw = text;
  showRaw();
  switch (message.type) {
    case "hello":
      watch.hello = message;
      setState(message.state, "");
      break;
    case "state":
      setState(message.state, message.reason ?? "");
      break;
    case "result":
      watch.result = message;
      rows.update(message);
      break;
    case "event":
    case "missed":
      events.add(message);
      break;
  }
}

/** @param {ArrayBuffer} jpeg */
function onPicture(jpeg) {
  if (watch.result) stage.offer(watch.result, jpeg);
}

/** @param {StreamState} state @param {string} reason */
function setState(state, reason) {
  watch.state = state;
  watch.reason = reason;
  render();
}

// ── what the page shows ────────────────────────────────────────────────────────────────────────

/** @param {Result} result  just drawn */
function onShown(result) {
  if (!watch.hasPicture) {
    watch.hasPicture = true;
    byId("stage").style.setProperty("--shape", `${result.width} / ${result.height}`);
    render();
  }
  write(byId("fps"), t("facts.fps_value", { n: i18n.number(result.fps, result.fps < 10 ? 1 : 0) }));
  write(byId("latency"), t("facts.ms", { n: i18n.number(result.latency_ms) }));
  write(byId("size"), `${result.width} × ${result.height}`);
  if (performance.now() - describedAt > DESCRIBE_MS) describe(result);
}

/** For those who cannot see the picture; now and then, not with every frame. @param {Result} result */
function describe(result) {
  describedAt = performance.now();
  const what = summary(result.detections) || t("rows.nothing");
  byId("picture").setAttribute("aria-label", t("stage.shows", { name: watch.name, what }));
}

function render() {
  const link = watch.connection?.link;
  const mark = markOf(link);
  byId("stage").dataset.state = watch.hasPicture && link?.kind !== "unknown" ? mark : "empty";
  byId("bar").hidden = !watch.hello;
  byId("results").hidden = !watch.hello;
  byId("state").dataset.state = mark;
  write(byId("state"), i18n.textOr(`state.${mark}`, mark));
  write(byId("stream-name"), watch.name);
  write(byId("blur"), watch.hello ? i18n.textOr(`blur.${watch.hello.blur}`, watch.hello.blur) : "–");
  if (!watch.hasPicture) for (const id of ["fps", "latency", "size"]) write(byId(id), "–");
  renderCurtain(link);
  renderBanner(link);
  document.title = watch.connection ? `${watch.name} – Watchpost` : "Watchpost";
}

/** The one word for how the stream is doing. @param {Link | undefined} link */
function markOf(link) {
  if (!link) return "idle";
  if (link.kind === "open") {
    if (watch.state !== "running") return watch.state ?? "starting";
    return watch.connection?.silence ? "silent" : "running";
  }
  if (link.kind === "connecting") return "starting";
  return link.kind === "waiting" ? "lost" : "ended";
}

/** What stands where the picture would be. @param {Link | undefined} link */
function renderCurtain(link) {
  const [title, text, action, busy] = curtainOf(link);
  byId("curtain").hidden = !title;
  byId("spinner").hidden = !busy;
  write(byId("curtain-title"), title);
  tell(byId("curtain-text"), text);
  tell(byId("curtain-action"), action);
}

/**
 * @param {Link | undefined} link
 * @returns {[title: string, text: string, action: string, busy: boolean]} all empty for no curtain
 */
function curtainOf(link) {
  const id = watch.connection?.streamId ?? "";
  switch (link?.kind) {
    case undefined:
      return [t("stage.idle"), t("stage.idle_text"), "", false];
    case "connecting":
      return [t("link.connecting", { id }), "", "", true];
    case "unknown":
      return [t("link.unknown", { id }), t("link.unknown_text"), t("link.once_more"), false];
    case "ended":
      return [t("link.ended"), link.reason && t("link.reason", { reason: link.reason }), t("link.again"), false];
    case "refused":
      return [t("link.refused"), link.reason && t("link.reason", { reason: link.reason }), t("link.again"), false];
    case "locked":
      return [t("link.locked"), "", t("token.open"), false];
    case "waiting":
      return watch.hasPicture ? ["", "", "", false] : [t("link.lost"), "", "", true];
  }
  if (watch.hasPicture) return ["", "", "", false];
  const trouble = troubleOf(watch.state);
  return [trouble || t("stage.first"), trouble && watch.reason, "", watch.state !== "failed" && watch.state !== "stopped"];
}

/** The strip across the picture. @param {Link | undefined} link */
function renderBanner(link) {
  const waiting = link?.kind === "waiting";
  byId("banner-retry").hidden = !waiting;
  write(byId("banner-text"), bannerOf(link));
  byId("banner").hidden = !byId("banner-text").textContent;
}

/** @param {Link | undefined} link */
function bannerOf(link) {
  if (link?.kind === "waiting") {
    const left = Math.ceil((link.retryAt - performance.now()) / 1000);
    const next = left > 0 ? t("link.retry", { n: left }) : t("link.retrying");
    return `${t(link.gone ? "link.gone" : "link.lost")} ${next}`;
  }
  if (link?.kind !== "open" || !watch.hasPicture) return "";
  const trouble = troubleOf(watch.state);
  if (trouble) return watch.reason ? `${trouble} ${t("link.reason", { reason: watch.reason })}` : trouble;
  const silence = watch.connection?.silence ?? 0;
  return silence ? t("link.silent", { n: Math.round(silence / 1000) }) : "";
}

/** @param {StreamState | null} state */
function troubleOf(state) {
  if (state === "reconnecting") return t("link.source");
  if (state === "stopped") return t("link.stopped");
  return state === "failed" ? t("link.failed") : "";
}

/** Screen readers hear of changes, not of every second of a wait. @param {Link} link */
function announceLink(link) {
  if (link.kind === "open") announce(wasLost ? t("link.back") : t("link.watching", { name: watch.name || (watch.connection?.streamId ?? "") }));
  else if (link.kind === "waiting" && !wasLost) announce(`${t("link.lost")} ${t("link.retrying")}`);
  else if (link.kind !== "waiting" && link.kind !== "connecting") announce(byId("curtain-title").textContent ?? "");
  wasLost = link.kind === "waiting";
}

// ── raw JSON, version ──────────────────────────────────────────────────────────────────────────

const raw = /** @type {HTMLDetailsElement} */ (byId("raw"));

/** Only while it is open, and never while somebody selects in it. */
function showRaw() {
  if (!raw.open) return;
  rawTimer ||= setTimeout(() => {
    rawTimer = 0;
    const selection = getSelection();
    const selecting = selection && !selection.isCollapsed && byId("raw-text").contains(selection.anchorNode);
    if (!selecting && watch.raw) write(byId("raw-text"), JSON.stringify(JSON.parse(watch.raw), null, 2));
  }, RAW_MS);
}

/** The licence gives every user of the server the right to its source. */
async function loadVersion() {
  try {
    const { version, source } = await call("api/version");
    write(byId("version"), `Watchpost ${version}`);
    if (/^https?:/.test(source)) byId("source").setAttribute("href", source);
  } catch {
    // what the markup says holds as well
  }
}

// ── buttons ────────────────────────────────────────────────────────────────────────────────────

byId("watch-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const streamId = /** @type {HTMLInputElement} */ (byId("stream-id")).value.trim();
  tell(byId("watch-problem"), streamId ? "" : t("watch.empty"));
  if (streamId) go(streamId);
});

byId("skip").addEventListener("click", (event) => {
  event.preventDefault(); // what follows the # in this page's address is a stream
  byId("stage").focus();
});

byId("curtain-action").addEventListener("click", () => {
  if (watch.connection?.link.kind === "locked") tokenForm.ask();
  else if (watch.connection) begin(watch.connection.streamId);
});

byId("banner-retry").addEventListener("click", () => watch.connection?.retry());
byId("stop-watching").addEventListener("click", () => {
  leave();
  byId("stream-id").focus();
});

byId("toggle-boxes").addEventListener("click", (event) => {
  stage.withBoxes = !stage.withBoxes;
  /** @type {HTMLElement} */ (event.currentTarget).setAttribute("aria-pressed", String(stage.withBoxes));
});

byId("full-screen").hidden = !document.fullscreenEnabled;
byId("full-screen").addEventListener("click", () => {
  if (document.fullscreenElement) document.exitFullscreen();
  else byId("stage").requestFullscreen();
});

byId("toggle-share").addEventListener("click", () => toggleShare(byId("share").hidden));

/** @param {boolean} open */
function toggleShare(open) {
  if (open && watch.connection) showAddresses(byId("share"), watch.connection.streamId);
  byId("share").hidden = !open;
  byId("toggle-share").setAttribute("aria-expanded", String(open));
}

byId("raw").addEventListener("toggle", showRaw);
byId("raw-copy").addEventListener("click", (event) => {
  copy(byId("raw-text").textContent ?? "", /** @type {HTMLButtonElement} */ (event.currentTarget));
});

const language = /** @type {HTMLSelectElement} */ (byId("language"));
language.value = i18n.current();
language.addEventListener("change", () => i18n.choose(language.value, { remember: true }));
i18n.onChange(() => {
  render();
  toggleShare(!byId("share").hidden);
});

addEventListener("hashchange", follow);
addEventListener("popstate", follow);
document.addEventListener("visibilitychange", () => document.hidden || watch.connection?.retry());
setInterval(render, 1000); // the seconds of a wait or of a silence

render();
follow();
streams.refresh();
loadVersion();
