/** The page: selects the watched stream and updates all parts of the page. */

import { Account } from "./account.js";
import { call } from "./api.js";
import { Connection } from "./connection.js";
import { announce, byId, tell, write } from "./dom.js";
import { Events } from "./events.js";
import * as i18n from "./i18n.js";
import { summary } from "./labels.js";
import { RawJson } from "./raw.js";
import { Rows } from "./rows.js";
import { showAddresses } from "./share.js";
import { Stage } from "./stage.js";
import { Watch, bannerOf, curtainOf, markOf } from "./status.js";
import { Streams } from "./streams.js";
import { TokenForm, hideFromAddress } from "./token.js";
import { Webcam } from "./webcam.js";

/**
 * @typedef {import("./connection.js").Link} Link
 * @typedef {import("./wire.js").Message} Message
 * @typedef {import("./wire.js").Result} Result
 * @typedef {import("./wire.js").StreamState} StreamState
 */

const { t } = i18n;
const DESCRIBE_MS = 5000;
const OLD_EVENTS = 20;

let watch = new Watch();
let describedAt = -DESCRIBE_MS;
let wasLost = false;

hideFromAddress();
i18n.begin();

const stage = new Stage(
  /** @type {HTMLCanvasElement} */ (byId("picture")),
  /** @type {HTMLCanvasElement} */ (byId("boxes")),
  onShown,
);
const rows = new Rows(byId("rows"), byId("rows-note"));
const events = new Events(byId("events"), byId("events-none"));
const raw = new RawJson();
const tokenForm = new TokenForm(onUnlocked);
const account = new Account(onUnlocked, () => tokenForm.ask());
const streams = new Streams(go, unlock);
new Webcam({
  onStream: go,
  onStopped: (streamId) => watch.connection?.streamId === streamId && leave(),
  onLocked: unlock,
});

// ── selection of a stream ────────────────────────────────────────────────────────────────────────

/** The id of the stream in the page's URL, or null. */
function addressed() {
  const fragment = location.hash.slice(1);
  try {
    return decodeURIComponent(fragment) || new URLSearchParams(location.search).get("stream");
  } catch {
    return fragment; // an invalid percent-encoding
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
  if (!byId("share").hidden) toggleShare(true); // the addresses are those of this stream
  render();
  if (innerWidth < 900) byId("stage").scrollIntoView({ block: "nearest" });
}

function end() {
  watch.connection?.close();
  watch = new Watch();
  stage.clear();
  rows.clear();
  events.clear();
  raw.clear();
  streams.mark(null);
  render();
}

/** The URL has changed: back, forward, or typed. */
function follow() {
  const streamId = addressed();
  if (streamId === (watch.connection?.streamId ?? null)) return;
  if (streamId) begin(streamId);
  else end();
}

/** The server wants to know who the person is: by name where there are users, else by the token. */
async function unlock() {
  await account.load();
  if (account.hasUsers) account.ask();
  else tokenForm.ask();
}

function onUnlocked() {
  account.load();
  streams.refresh();
  loadVersion();
  const streamId = watch.connection?.streamId ?? addressed();
  if (streamId && watch.connection?.link.kind !== "open") begin(streamId);
}

// ── messages from the server ─────────────────────────────────────────────────────────────────────

/** @param {Link} link */
function onLink(link) {
  if (link.kind === "locked") tokenForm.ask();
  if (link.kind === "ended" || link.kind === "unknown") streams.refresh();
  render();
  announceLink(link);
}

/** @param {Message} message @param {string} text */
function onMessage(message, text) {
  raw.update(text);
  switch (message.type) {
    case "hello":
      if (!watch.hello) loadEvents(watch);
      watch.hello = message;
      stage.places = { zones: message.zones ?? [], lines: message.lines ?? [] };
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

/** What happened before, for those who come later. @param {Watch} mine */
async function loadEvents(mine) {
  const camera = encodeURIComponent(mine.connection?.streamId ?? "");
  const page = await call(`api/events?camera=${camera}&limit=${OLD_EVENTS}`).catch(() => null);
  if (page && watch === mine) events.addOlder(page.events);
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

// ── display ──────────────────────────────────────────────────────────────────────────────────────

/** @param {Result} result  the one on the screen */
function onShown(result) {
  byId("stage").style.setProperty("--shape", `${result.width} / ${result.height}`);
  if (!watch.hasPicture) {
    watch.hasPicture = true;
    render();
  }
  write(byId("fps"), t("facts.fps_value", { n: i18n.number(result.fps, result.fps < 10 ? 1 : 0) }));
  write(byId("latency"), t("facts.ms", { n: i18n.number(result.latency_ms) }));
  write(byId("size"), `${result.width} × ${result.height}`);
  if (performance.now() - describedAt > DESCRIBE_MS) describe(result);
}

/** Describes the video to screen readers; now and then, not for every frame. @param {Result} result */
function describe(result) {
  describedAt = performance.now();
  const what = summary(result.detections) || t("rows.nothing");
  byId("picture").setAttribute("aria-label", t("stage.shows", { name: watch.name, what }));
}

function render() {
  const { connection, hello, hasPicture } = watch;
  const mark = markOf(watch);
  byId("stage").dataset.state = hasPicture ? mark : "empty";
  byId("bar").hidden = !hello;
  byId("results").hidden = !hello;
  byId("state").dataset.state = mark;
  write(byId("state"), i18n.textOr(`state.${mark}`, mark));
  write(byId("stream-name"), watch.name);
  write(byId("blur"), hello ? i18n.textOr(`blur.${hello.blur}`, hello.blur) : "–");
  if (!hasPicture) for (const id of ["fps", "latency", "size"]) write(byId(id), "–");
  renderCurtain();
  write(byId("banner-text"), bannerOf(watch));
  byId("banner").hidden = !byId("banner-text").textContent;
  byId("banner-retry").hidden = connection?.link.kind !== "waiting";
  document.title = connection ? `${watch.name} – Watchpost` : "Watchpost";
}

function renderCurtain() {
  const curtain = curtainOf(watch);
  byId("curtain").hidden = !curtain;
  byId("spinner").hidden = !curtain?.busy;
  write(byId("curtain-title"), curtain?.title ?? "");
  tell(byId("curtain-text"), curtain?.text ?? "");
  tell(byId("curtain-action"), curtain?.action ?? "");
}

/** Screen readers hear of changes, not of every second of a wait. @param {Link} link */
function announceLink(link) {
  if (link.kind === "open") {
    announce(t(wasLost ? "link.back" : "link.watching", { name: watch.name }));
  } else if (link.kind === "waiting") {
    if (!wasLost) announce(`${t("link.lost")} ${t("link.retrying")}`);
  } else if (link.kind !== "connecting") {
    announce(byId("curtain-title").textContent ?? "");
  }
  wasLost = link.kind === "waiting";
}

/** The licence gives all users of the server a right to its source. */
async function loadVersion() {
  try {
    const { version, source } = await call("api/version");
    write(byId("version"), `Watchpost ${version}`);
    if (/^https?:/.test(source)) byId("source").setAttribute("href", source);
  } catch {
    // keep the texts of the markup
  }
}

// ── controls ─────────────────────────────────────────────────────────────────────────────────────

byId("watch-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const streamId = /** @type {HTMLInputElement} */ (byId("stream-id")).value.trim();
  tell(byId("watch-problem"), streamId ? "" : t("watch.empty"));
  if (streamId) go(streamId);
});

byId("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the fragment of this page's URL is the id of a stream
  byId("stage").focus();
});

byId("curtain-action").addEventListener("click", () => {
  if (watch.connection?.link.kind === "locked") unlock();
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
setInterval(render, 1000); // updates the seconds since the last message and until the next attempt

render();
follow();
account.load();
streams.refresh();
loadVersion();
