/** Which frame is on the screen: what was said about each frame, by its time in the video. */

import type { FrameInfo } from "./wire";

const MOST = 256;
/** Browsers round times to microseconds; frames are at least a millisecond apart. */
const TOLERANCE_S = 0.0005;

export interface TimedFrame extends FrameInfo {
  /** In the video, seconds. */
  time: number;
  /** On the clock of `performance.now()`. */
  capturedAt: number;
}

export class Timeline {
  #frames: TimedFrame[] = [];

  add(frame: TimedFrame): void {
    this.#frames.push(frame);
    if (this.#frames.length > MOST) this.#frames.splice(0, MOST / 4);
  }

  /** The time of the newest frame; null before the first. */
  get edge(): number | null {
    return this.#frames.at(-1)?.time ?? null;
  }

  /** The frame that is shown at a time: the last one that has begun; undefined for an unknown one. */
  at(time: number): TimedFrame | undefined {
    return this.#frames.findLast((frame) => frame.time <= time + TOLERANCE_S);
  }

  clear(): void {
    this.#frames = [];
  }
}
