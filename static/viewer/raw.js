/** The newest message as raw JSON, for developers. */

import { byId, copy, write } from "./dom.js";

const EVERY_MS = 250;

export class RawJson {
  #details = /** @type {HTMLDetailsElement} */ (byId("raw"));
  #text = byId("raw-text");
  #newest = "";
  #timer = 0;

  constructor() {
    const button = /** @type {HTMLButtonElement} */ (byId("raw-copy"));
    button.addEventListener("click", () => copy(this.#text.textContent ?? "", button));
    this.#details.addEventListener("toggle", () => this.#render());
  }

  /** @param {string} text  a JSON document */
  update(text) {
    this.#newest = text;
    if (this.#details.open) this.#timer ||= setTimeout(() => this.#render(), EVERY_MS);
  }

  clear() {
    this.#newest = "";
    write(this.#text, "");
  }

  /** Updates neither while the box is closed, nor while the user selects text in it. */
  #render() {
    this.#timer = 0;
    if (!this.#details.open || !this.#newest || this.#selecting()) return;
    write(this.#text, JSON.stringify(JSON.parse(this.#newest), null, 2));
  }

  #selecting() {
    const selection = getSelection();
    return Boolean(selection && !selection.isCollapsed && this.#text.contains(selection.anchorNode));
  }
}
