/** The list of events: newest first, with a limited length. */

import { at } from "./api.js";
import { announce, make, write } from "./dom.js";
import { clock, number, onChange, percent, t, textOr } from "./i18n.js";
import { nameOf } from "./labels.js";

/**
 * @typedef {import("./wire.js").StreamEvent} StreamEvent
 * @typedef {import("./wire.js").Missed} Missed
 */

const MOST = 100;
const OF_OBJECTS = /^(object|zone|line)_/;

export class Events {
  /** @type {{entry: HTMLLIElement, message: StreamEvent | Missed}[]} newest first */
  #entries = [];
  #unspoken = 0;
  #list;
  #none;

  /** @param {HTMLElement} list @param {HTMLElement} none  shown while the list is empty */
  constructor(list, none) {
    this.#list = list;
    this.#none = none;
    onChange(() => this.#entries.forEach(fill));
  }

  /** @param {StreamEvent | Missed} message  a live one */
  add(message) {
    if (this.#knows(message)) return;
    const item = this.#make(message);
    this.#list.prepend(item.entry);
    this.#entries.unshift(item);
    this.#trim();
    this.#speak(message);
  }

  /** @param {StreamEvent[]} messages  stored ones, newest first */
  addOlder(messages) {
    for (const message of messages) {
      if (this.#knows(message)) continue;
      const item = this.#make(message);
      this.#list.append(item.entry);
      this.#entries.push(item);
    }
    this.#trim();
  }

  clear() {
    this.#entries = [];
    this.#unspoken = 0;
    this.#list.replaceChildren();
    this.#none.hidden = false;
  }

  /** @param {StreamEvent | Missed} message */
  #knows(message) {
    if (message.type !== "event") return false;
    return this.#entries.some(({ message: other }) => other.type === "event" && other.id === message.id);
  }

  /** @param {StreamEvent | Missed} message */
  #make(message) {
    const item = { entry: make("li"), message };
    fill(item);
    return item;
  }

  #trim() {
    for (const { entry } of this.#entries.splice(MOST)) entry.remove();
    this.#none.hidden = this.#entries.length > 0;
  }

  /** @param {StreamEvent | Missed} message */
  #speak(message) {
    if (message.type !== "event") return;
    this.#unspoken += 1;
    announce(t("events.news", { n: this.#unspoken, what: titleOf(message) }), () => {
      this.#unspoken = 0;
    });
  }
}

/** @param {{entry: HTMLLIElement, message: StreamEvent | Missed}} item */
function fill({ entry, message }) {
  if (message.type === "missed") {
    entry.className = "missed";
    write(entry, t("events.missed", { n: message.events }));
    return;
  }
  const [known, film] = [entry.querySelector("a"), entry.querySelector("video")];
  entry.className = message.event.endsWith("_ended") ? "event over" : "event";
  entry.replaceChildren(
    make("time", { dateTime: isoOf(message.ts) }, clock(message.ts)),
    make("strong", {}, titleOf(message)),
    make("span", { className: "quiet" }, factsOf(message).join(" · ")),
    ...(message.snapshot ? [known ?? pictureOf(message.snapshot)] : []),
    ...(message.clip ? [film ?? clipOf(message.clip)] : []),
  );
  entry.querySelector("img")?.setAttribute("alt", t("events.snapshot"));
  entry.querySelector("video")?.setAttribute("aria-label", t("events.clip"));
}

/** @param {StreamEvent} message */
function titleOf({ event, details }) {
  const readable = event.replaceAll("_", " ");
  const title = textOr(`event.${event}`, readable.charAt(0).toUpperCase() + readable.slice(1));
  const subject = [details.plate_number, details.zone, details.line].find((one) => typeof one === "string");
  return subject === undefined ? title : `${title}: ${subject}`;
}

/** @param {StreamEvent} message */
function factsOf({ event, track_id: track, confidence, duration_s: duration, details }) {
  const facts = [];
  if (OF_OBJECTS.test(event) && typeof details.label === "string") facts.push(nameOf(details.label));
  if (event === "line_crossed") facts.push(`${details.from} → ${details.to}`);
  if (track !== null) facts.push(t("events.track", { n: String(track) }));
  if (confidence !== null) facts.push(t("events.sure", { n: percent(confidence) }));
  if (duration !== null) facts.push(t("events.lasted", { n: number(duration, duration < 10 ? 1 : 0) }));
  return facts;
}

/** @param {string} path  of the snapshot, on this server */
function pictureOf(path) {
  const href = at(path).href;
  const image = make("img", { src: href, loading: "lazy", decoding: "async" });
  image.addEventListener("error", () => (image.hidden = true)); // the snapshot was removed; the event stays
  return make("a", { href, target: "_blank", rel: "noopener" }, image);
}

/** @param {string} path  of the clip, on this server; it is ready seconds after the event */
function clipOf(path) {
  const film = make("video", { src: at(path).href, controls: true, preload: "none", muted: true });
  film.playsInline = true;
  film.addEventListener("error", () => film.load()); // too early: the next click asks again
  return film;
}

/** @param {number} seconds  since 1970 */
function isoOf(seconds) {
  return Number.isFinite(seconds) ? new Date(seconds * 1000).toISOString() : "";
}
