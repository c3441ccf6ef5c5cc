/** The video, with the boxes of exactly the frame that is shown. */

import { colourOf, isSure } from "./detections.js";
import { percent } from "./i18n.js";
import { nameOf } from "./labels.js";
import { drawPlaces } from "./places.js";

/**
 * @typedef {import("./wire.js").Result} Result
 * @typedef {import("./wire.js").Detection} Detection
 * @typedef {{zones: import("./wire.js").Zone[], lines: import("./wire.js").Line[]}} Places
 * @typedef {{left: number, top: number, width: number, height: number}} Rectangle
 */

const CROWDED = 12;
const SMALL = 480; // CSS pixels of the video's width
const LETTERS = 13;
const SMALL_LETTERS = 11;
const LINE = 2;
const DOTS = [2, 6];
const TEXT_COLOUR = "#0b0f12";

export class Stage {
  /** @type {{result: Result, jpeg: ArrayBuffer} | null} the newest frame, not drawn yet */
  #next = null;
  /** @type {Result | null} the result on the screen */
  #shown = null;
  #scheduled = false;
  #busy = false;
  #withBoxes = true;
  /** @type {Places} */
  #places = { zones: [], lines: [] };
  #era = 0;

  /**
   * @param {HTMLCanvasElement} picture
   * @param {HTMLCanvasElement} boxes
   * @param {(result: Result) => void} onShown  after each drawn frame
   */
  constructor(picture, boxes, onShown) {
    this.#picture = picture;
    this.#boxes = boxes;
    this.#onShown = onShown;
    const paper = picture.getContext("bitmaprenderer");
    const ink = boxes.getContext("2d");
    if (!paper || !ink) throw new Error("this browser has no canvas");
    this.#paper = paper;
    this.#ink = ink;
    new ResizeObserver(() => this.redraw()).observe(boxes);
  }

  #picture;
  #boxes;
  #onShown;
  #paper;
  #ink;

  /**
   * Show a frame at the next repaint; until then a newer one replaces it. While the page is hidden
   * nothing is drawn, so nothing is decoded, either.
   *
   * @param {Result} result
   * @param {ArrayBuffer} jpeg
   */
  offer(result, jpeg) {
    this.#next = { result, jpeg };
    this.#schedule();
  }

  /** Clear the screen, and drop the waiting frame. */
  clear() {
    this.#era += 1;
    this.#next = null;
    this.#shown = null;
    this.#places = { zones: [], lines: [] };
    this.#paper.transferFromImageBitmap(null);
    this.redraw();
  }

  /** Zones and lines are shown with the boxes. @param {Places} places */
  set places(places) {
    this.#places = places;
    this.redraw();
  }

  get withBoxes() {
    return this.#withBoxes;
  }

  set withBoxes(wanted) {
    this.#withBoxes = wanted;
    this.redraw();
  }

  #schedule() {
    if (!this.#next || this.#busy || this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => {
      this.#scheduled = false;
      this.#draw();
    });
  }

  async #draw() {
    const offered = this.#next;
    this.#next = null;
    if (!offered) return;
    const era = this.#era;
    this.#busy = true;
    try {
      const bitmap = await createImageBitmap(new Blob([offered.jpeg], { type: "image/jpeg" }));
      if (era === this.#era) this.#show(bitmap, offered.result);
      else bitmap.close();
    } catch {
      // this browser cannot decode it: the last frame stays until the next one
    }
    this.#busy = false;
    this.#schedule();
  }

  /** @param {ImageBitmap} bitmap @param {Result} result */
  #show(bitmap, result) {
    const { width, height } = bitmap;
    if (this.#picture.width !== width) this.#picture.width = width;
    if (this.#picture.height !== height) this.#picture.height = height;
    this.#paper.transferFromImageBitmap(bitmap); // takes the bitmap over: nothing to close
    this.#shown = result;
    this.redraw();
    this.#onShown(result);
  }

  /** Redraw the boxes at the screen's resolution. */
  redraw() {
    const { clientWidth, clientHeight } = this.#boxes;
    const ratio = devicePixelRatio || 1;
    const width = Math.round(clientWidth * ratio);
    const height = Math.round(clientHeight * ratio);
    if (this.#boxes.width !== width) this.#boxes.width = width;
    if (this.#boxes.height !== height) this.#boxes.height = height;
    this.#ink.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.#ink.clearRect(0, 0, clientWidth, clientHeight);
    const shown = this.#shown;
    if (!shown || !this.#withBoxes || !shown.width || !shown.height) return;
    const area = fit(shown, clientWidth, clientHeight);
    drawPlaces(this.#ink, this.#places, area);
    this.#drawBoxes(shown, area, ratio);
  }

  /**
   * @param {Result} result
   * @param {Rectangle} area  of the frame, in CSS pixels
   * @param {number} ratio  screen pixels per CSS pixel: lines are aligned to screen pixels, so that
   *   they are sharp
   */
  #drawBoxes(result, area, ratio) {
    const scale = area.width / result.width;
    const across = (/** @type {number} */ x) => Math.round((area.left + x * scale) * ratio) / ratio;
    const down = (/** @type {number} */ y) => Math.round((area.top + y * scale) * ratio) / ratio;
    const placed = result.detections.map((detection) => {
      const [x1, y1, x2, y2] = detection.box;
      const [left, top] = [across(x1), down(y1)];
      return { detection, box: { left, top, width: across(x2) - left, height: down(y2) - top } };
    });
    for (const { detection, box } of placed) this.#drawBox(detection, box);
    /** @type {Rectangle[]} */
    const taken = [];
    const named = placed.filter(({ detection }) => isSure(detection));
    const brief = named.length > CROWDED;
    const small = area.width < SMALL;
    const write = small ? this.#drawName : this.#drawLabel;
    for (const { detection, box } of named) {
      const place = write.call(this, detection, box, area, taken, brief);
      if (place) taken.push(place);
    }
  }

  /**
   * A dark line below the coloured one keeps it visible on any background. Uncertain detections
   * get a dotted line and no name.
   *
   * @param {Detection} detection
   * @param {Rectangle} box
   */
  #drawBox(detection, { left, top, width, height }) {
    const ink = this.#ink;
    ink.lineJoin = "round";
    ink.setLineDash(isSure(detection) ? [] : DOTS);
    ink.strokeStyle = "rgb(0 0 0 / 60%)";
    ink.lineWidth = LINE + 2;
    ink.strokeRect(left, top, width, height);
    ink.strokeStyle = colourOf(detection.label);
    ink.lineWidth = LINE;
    ink.strokeRect(left, top, width, height);
  }

  /**
   * @param {Detection} detection
   * @param {Rectangle} box
   * @param {Rectangle} area
   * @param {Rectangle[]} taken  the labels drawn so far
   * @param {boolean} brief  the name alone
   * @returns {Rectangle} the label's place
   */
  #drawLabel(detection, box, area, taken, brief) {
    const ink = this.#ink;
    const text = brief ? nameOf(detection.label) : describe(detection);
    ink.font = `600 ${LETTERS}px system-ui, sans-serif`;
    ink.textBaseline = "middle";
    const wanted = { width: ink.measureText(text).width + 10, height: LETTERS + 7 };
    const { place } = findPlace(wanted, box, area, taken);
    ink.fillStyle = "rgb(0 0 0 / 60%)";
    ink.fillRect(place.left - 1, place.top - 1, place.width + 2, place.height + 2);
    ink.fillStyle = colourOf(detection.label);
    ink.fillRect(place.left, place.top, place.width, place.height);
    ink.fillStyle = TEXT_COLOUR;
    ink.fillText(text, place.left + 5, place.top + place.height / 2 + 0.5);
    return place;
  }

  /**
   * On a phone a label would hide much of the video: the outlined name alone, and only where there
   * is room. The list below the video has all of them.
   *
   * @param {Detection} detection
   * @param {Rectangle} box
   * @param {Rectangle} area
   * @param {Rectangle[]} taken  the names drawn so far
   * @returns {Rectangle | null} the name's place, if it has one
   */
  #drawName(detection, box, area, taken) {
    const ink = this.#ink;
    const text = nameOf(detection.label);
    ink.font = `600 ${SMALL_LETTERS}px system-ui, sans-serif`;
    ink.textBaseline = "middle";
    const wanted = { width: ink.measureText(text).width + 4, height: SMALL_LETTERS + 2 };
    const { place, free } = findPlace(wanted, box, area, taken);
    if (!free) return null;
    const [x, y] = [place.left + 2, place.top + place.height / 2 + 0.5];
    ink.setLineDash([]);
    ink.lineWidth = 3;
    ink.strokeStyle = "rgb(0 0 0 / 85%)";
    ink.strokeText(text, x, y);
    ink.fillStyle = colourOf(detection.label);
    ink.fillText(text, x, y);
    return place;
  }
}

/** @param {Detection} detection */
function describe({ label, confidence, track_id: track }) {
  return `${nameOf(label)} ${percent(confidence)}${track === null ? "" : ` #${track}`}`;
}

/**
 * The largest centred rectangle of a frame's aspect ratio in a space.
 *
 * @param {{width: number, height: number}} frame
 * @param {number} width
 * @param {number} height
 * @returns {Rectangle}
 */
function fit(frame, width, height) {
  const scale = Math.min(width / frame.width, height / frame.height);
  const size = { width: frame.width * scale, height: frame.height * scale };
  return { left: (width - size.width) / 2, top: (height - size.height) / 2, ...size };
}

/**
 * A place for a label that covers no other label: above, inside, or below its box.
 *
 * @param {{width: number, height: number}} size
 * @param {Rectangle} box
 * @param {Rectangle} area
 * @param {Rectangle[]} taken
 * @returns {{place: Rectangle, free: boolean}}  not free if there is none without another label
 */
function findPlace(size, box, area, taken) {
  const furthest = area.left + area.width - size.width;
  const left = Math.max(area.left, Math.min(box.left - LINE / 2, furthest));
  const lowest = area.top + area.height - size.height;
  const tops = [box.top - size.height, box.top, box.top + box.height - size.height, box.top + box.height];
  const places = tops
    .filter((top) => top >= area.top && top <= lowest)
    .map((top) => ({ left, top, ...size }));
  const fallback = { left, top: Math.max(area.top, Math.min(box.top, lowest)), ...size };
  const free = places.find((place) => !taken.some((other) => overlap(place, other)));
  return { place: free ?? places[0] ?? fallback, free: free !== undefined };
}

/** @param {Rectangle} a @param {Rectangle} b */
function overlap(a, b) {
  return (
    a.left < b.left + b.width &&
    b.left < a.left + a.width &&
    a.top < b.top + b.height &&
    b.top < a.top + a.height
  );
}
