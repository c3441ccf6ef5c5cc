/** The list of running streams; a click watches one. */

import { Refused, call } from "./api.js";
import { byId, make, tell, write } from "./dom.js";
import { onChange, t, textOr } from "./i18n.js";

/** @typedef {import("./wire.js").Camera} Camera */

const EVERY_MS = 5000;

export class Streams {
  #list = byId("streams");
  #note = byId("streams-note");
  #unlock = byId("streams-unlock");
  /** @type {Camera[]} */
  #cameras = [];
  /** @type {Map<string, HTMLButtonElement>} */
  #buttons = new Map();
  /** @type {"loading" | "fine" | "locked" | "failed"} */
  #state = "loading";
  /** @type {string | null} */
  #watched = null;
  #timer = 0;
  #onWatch;
  #onLocked;

  /**
   * @param {(streamId: string) => void} onWatch
   * @param {() => void} onLocked  the server requires the token
   */
  constructor(onWatch, onLocked) {
    this.#onWatch = onWatch;
    this.#onLocked = onLocked;
    this.#unlock.addEventListener("click", onLocked);
    document.addEventListener("visibilitychange", () => document.hidden || this.refresh());
    onChange(() => this.#render());
  }

  /** @param {string | null} streamId  the selected one */
  mark(streamId) {
    this.#watched = streamId;
    this.#render();
  }

  /** Load the list now, and again every few seconds while the page is visible. */
  async refresh() {
    clearTimeout(this.#timer);
    if (document.hidden) return;
    try {
      const cameras = await call("cameras");
      this.#cameras = cameras.filter((/** @type {Camera} */ { state }) => state !== "stopped");
      this.#state = "fine";
    } catch (error) {
      const locked = error instanceof Refused && error.status === 401;
      if (locked && this.#state !== "locked") this.#onLocked();
      this.#state = locked ? "locked" : "failed";
    }
    this.#render();
    clearTimeout(this.#timer);
    if (this.#state !== "locked") this.#timer = setTimeout(() => this.refresh(), EVERY_MS);
  }

  #render() {
    const shown = this.#state === "locked" ? [] : this.#cameras;
    const ids = new Set(shown.map(({ camera_id: id }) => id));
    for (const [id, button] of this.#buttons) {
      if (ids.has(id)) continue;
      button.parentElement?.remove();
      this.#buttons.delete(id);
    }
    for (const camera of shown) this.#fill(this.#button(camera.camera_id), camera);
    this.#list.classList.toggle("stale", this.#state === "failed");
    this.#unlock.hidden = this.#state !== "locked";
    tell(this.#note, this.#noteText(shown.length));
  }

  /** @param {number} count */
  #noteText(count) {
    if (this.#state !== "fine") return t(`streams.${this.#state}`);
    return count ? "" : t("streams.empty");
  }

  /** @param {string} id */
  #button(id) {
    const known = this.#buttons.get(id);
    if (known) return known;
    const button = make("button", { type: "button", className: "stream" });
    for (const name of ["dot", "stream-name", "stream-facts", "stream-reduced"]) {
      button.append(make("span", { className: name }));
    }
    button.addEventListener("click", () => this.#onWatch(id));
    this.#buttons.set(id, button);
    this.#list.append(make("li", {}, button));
    return button;
  }

  /** @param {HTMLButtonElement} button @param {Camera} camera */
  #fill(button, camera) {
    const [dot, name, facts, reduced] = /** @type {Iterable<HTMLElement>} */ (button.children);
    dot.dataset.state = camera.state;
    write(name, camera.name || camera.camera_id);
    write(facts, factsOf(camera).join(" · "));
    write(reduced, camera.reduced?.message ?? "");
    button.title = camera.camera_id;
    if (camera.camera_id === this.#watched) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  }
}

/** @param {Camera} camera */
function factsOf({ camera_id: id, name, kind, state, fps, width, height }) {
  const facts = [textOr(`state.${state}`, state), textOr(`kind.${kind}`, kind)];
  if (fps) facts.push(t("facts.fps_value", { n: Math.round(fps) }));
  if (width && height) facts.push(`${width} × ${height}`);
  if (name && name !== id) facts.push(id);
  return facts;
}
