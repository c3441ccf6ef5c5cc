/** The canvas above the video: it draws each frame together with its own boxes. */

import { drawBoxes, fit } from "./boxes";
import { drawPlaces } from "./places";
import type { FrameInfo, Places } from "./wire";

/** The video itself where the browser hands out no frames of it. */
export type Picture = HTMLVideoElement | VideoFrame | ImageBitmap;

export class Stage {
  #withBoxes = true;
  #places: Places = { zones: [], lines: [] };
  /** What is shown, to draw it again. */
  #shown: { frame: FrameInfo; picture: Picture } | null = null;
  readonly #ink: CanvasRenderingContext2D;
  readonly #resized = new ResizeObserver(() => this.#redraw());

  constructor(private readonly canvas: HTMLCanvasElement) {
    this.#ink = canvas.getContext("2d")!;
    this.#resized.observe(canvas);
  }

  /** Show a frame. A picture that can be closed is taken over, and closed after the next one. */
  show(frame: FrameInfo, picture: Picture): void {
    this.#release();
    this.#shown = { frame, picture };
    this.#draw();
  }

  set withBoxes(wanted: boolean) {
    this.#withBoxes = wanted;
    this.#redraw();
  }

  /** Zones and lines are shown with the boxes. */
  set places(places: Places) {
    this.#places = places;
    this.#redraw();
  }

  clear(): void {
    this.#release();
    this.#shown = null;
    this.#draw();
  }

  close(): void {
    this.#resized.disconnect();
    this.clear();
  }

  #release(): void {
    const picture = this.#shown?.picture;
    if (picture && "close" in picture) picture.close();
  }

  /** A video itself may have gone on: its next frame comes soon. */
  #redraw(): void {
    if (this.#shown?.picture instanceof HTMLVideoElement) this.#shown = null;
    this.#draw();
  }

  /**
   * A video is copied, so that it never stands beside the boxes of another frame: a browser shows a
   * canvas one repaint later than a video. Without boxes the video shows itself.
   */
  #draw(): void {
    const { canvas } = this;
    const ink = this.#ink;
    const ratio = devicePixelRatio || 1;
    const { clientWidth, clientHeight } = canvas;
    const width = Math.round(clientWidth * ratio);
    const height = Math.round(clientHeight * ratio);
    if (canvas.width !== width) canvas.width = width;
    if (canvas.height !== height) canvas.height = height;
    ink.setTransform(ratio, 0, 0, ratio, 0, 0);
    ink.clearRect(0, 0, clientWidth, clientHeight);
    if (!this.#shown) return;
    const { frame, picture } = this.#shown;
    if (!(picture instanceof ImageBitmap) && !this.#withBoxes) return;
    const area = fit(sizeOf(picture), clientWidth, clientHeight);
    ink.drawImage(picture, area.left, area.top, area.width, area.height);
    if (!this.#withBoxes) return;
    drawPlaces(ink, this.#places, area);
    drawBoxes(ink, frame, area, ratio);
  }
}

function sizeOf(picture: Picture): { width: number; height: number } {
  if (picture instanceof HTMLVideoElement) return { width: picture.videoWidth, height: picture.videoHeight };
  if (picture instanceof ImageBitmap) return picture;
  return { width: picture.displayWidth, height: picture.displayHeight };
}
