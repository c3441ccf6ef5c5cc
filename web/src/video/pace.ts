/** How a video is shown: in which format, how many frames a second, and how late. */

const EVERY_MS = 1000;

export interface Shown {
  format: "H.264" | "MJPEG";
  /** Why it is not H.264; empty if it is. */
  reason: string;
  fps: number;
  /** From the camera to the screen. */
  delayMs: number;
}

export class Pace {
  #format: Shown["format"] = "H.264";
  #reason = "";
  #since = 0;
  #frames = 0;

  constructor(private readonly tell: (shown: Shown) => void) {}

  begin(format: Shown["format"], reason = ""): void {
    [this.#format, this.#reason, this.#frames] = [format, reason, 0];
    this.#since = performance.now();
  }

  /** A frame is shown; `capturedAt` is on the clock of `performance.now()`. */
  count(capturedAt: number): void {
    this.#frames += 1;
    const now = performance.now();
    const passed = now - this.#since;
    if (passed < EVERY_MS) return;
    const fps = (this.#frames * 1000) / passed;
    this.tell({ format: this.#format, reason: this.#reason, fps, delayMs: now - capturedAt });
    [this.#since, this.#frames] = [now, 0];
  }
}
