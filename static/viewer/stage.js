/** The video, with the boxes of exactly the frame that is shown. */

import { drawBoxes, fit } from "./boxes.js";
import { percent } from "./i18n.js";
import { nameOf } from "./labels.js";
import { drawPlaces } from "./places.js";

/**
 * @typedef {import("./wire.js").Result} Result
 * @typedef {{zones: import("./wire.js").Zone[], lines: import("./wire.js").Line[]}} Places
 */

const WORDS = { nameOf, percent };

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
    drawBoxes(this.#ink, shown, area, ratio, WORDS);
  }
}
