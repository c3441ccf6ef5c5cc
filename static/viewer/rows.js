/** The table of detections, updated a few times a second. */

import { colourOf, isSure } from "./detections.js";
import { make, tell, write } from "./dom.js";
import { clock, number, onChange, percent, t } from "./i18n.js";
import { nameOf } from "./labels.js";

/**
 * @typedef {import("./wire.js").Result} Result
 * @typedef {import("./wire.js").Detection} Detection
 */

const EVERY_MS = 250;
const FORGOTTEN_S = 10;
const MOST_ROWS = 100;

export class Rows {
  /** @type {Map<string, {since: number, last: number}>} when each track was first and last seen, Unix seconds */
  #seen = new Map();
  /** @type {Map<string, HTMLTableRowElement>} */
  #rows = new Map();
  /** @type {Result | null} */
  #result = null;
  #timer = 0;
  #body;
  #note;

  /** @param {HTMLElement} body @param {HTMLElement} note  for detections without a row */
  constructor(body, note) {
    this.#body = body;
    this.#note = note;
    onChange(() => this.#render());
  }

  /** @param {Result} result */
  update(result) {
    this.#result = result;
    this.#remember(result);
    this.#timer ||= setTimeout(() => this.#render(), EVERY_MS);
  }

  clear() {
    this.#seen.clear();
    this.#result = null;
    this.#render();
  }

  /** @param {Result} result */
  #remember({ ts, detections }) {
    for (const detection of detections) {
      const key = keyOf(detection, 0);
      this.#seen.set(key, { since: this.#seen.get(key)?.since ?? ts, last: ts });
    }
    for (const [key, { last }] of this.#seen) {
      if (ts - last > FORGOTTEN_S) this.#seen.delete(key);
    }
  }

  #render() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    const all = this.#result?.detections ?? [];
    const detections = all.filter(isSure).slice(0, MOST_ROWS);
    /** @type {Set<string>} */
    const keys = new Set();
    detections.forEach((detection, index) => {
      const key = keyOf(detection, index);
      keys.add(key);
      this.#fill(this.#row(key), detection);
    });
    for (const [key, row] of this.#rows) {
      if (keys.has(key)) continue;
      row.remove();
      this.#rows.delete(key);
    }
    this.#renderNote(detections.length, all.length);
  }

  /** @param {number} shown @param {number} all */
  #renderNote(shown, all) {
    const more = all > shown ? t("rows.more", { n: all - shown }) : "";
    tell(this.#note, shown ? more : `${t("rows.none")} ${more}`.trim());
  }

  /** @param {string} key */
  #row(key) {
    const known = this.#rows.get(key);
    if (known) return known;
    const row = make("tr", {}, ...["th", "td", "td", "td"].map((tag) => document.createElement(tag)));
    row.cells[0].scope = "row";
    row.cells[0].append(make("span", { className: "swatch" }), make("span"));
    row.cells[1].append(make("span", { className: "sure" }), make("span"));
    this.#rows.set(key, row);
    this.#body.append(row);
    return row;
  }

  /** @param {HTMLTableRowElement} row @param {Detection} detection */
  #fill(row, detection) {
    const [swatch, name] = /** @type {Iterable<HTMLElement>} */ (row.cells[0].children);
    const [meter, sure] = /** @type {Iterable<HTMLElement>} */ (row.cells[1].children);
    swatch.style.background = colourOf(detection.label);
    meter.style.setProperty("--share", String(detection.confidence));
    write(name, nameOf(detection.label));
    write(sure, percent(detection.confidence));
    write(row.cells[2], detection.track_id === null ? "–" : `#${detection.track_id}`);
    write(row.cells[3], this.#since(detection));
  }

  /** @param {Detection} detection */
  #since(detection) {
    const seen = this.#seen.get(keyOf(detection, 0));
    if (detection.track_id === null || !seen) return "–";
    const lasted = t("rows.for", { n: number(Math.max(0, seen.last - seen.since)) });
    return `${clock(seen.since)} (${lasted})`;
  }
}

/**
 * @param {Detection} detection
 * @param {number} index  distinguishes detections without a track
 */
function keyOf({ label, track_id: track }, index) {
  return track === null ? `${label}/${index}` : `${label}#${track}`;
}
