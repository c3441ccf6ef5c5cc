/** Keeps a media element at the newest frame: a little faster or slower, and a jump where it is far off. */

/** What the video may be behind when a frame arrives: time to decode it, and for others to be late. */
const TARGET_S = 0.1;
const TOLERANCE_S = 0.04;
const JUMP_S = 0.8;
const FASTEST = 1.25;
const SLOWEST = 0.85;
const GAIN = 1.5;
/** Of the running mean, so that one late frame changes nothing. */
const SHARE = 0.15;

export class LiveEdge {
  #behind: number | null = null;
  /** Where the last jump led to. */
  jumpedTo = 0;

  constructor(private readonly video: HTMLVideoElement) {}

  /** A frame has arrived; `edge` is its time in the video. */
  follow(edge: number): void {
    const { video } = this;
    const behind = edge - video.currentTime;
    if (Math.abs(behind - TARGET_S) > JUMP_S || this.#behind === null) {
      this.jump(edge);
      return;
    }
    this.#behind += SHARE * (behind - this.#behind);
    const excess = this.#behind - TARGET_S;
    const rate = Math.abs(excess) < TOLERANCE_S ? 1 : 1 + GAIN * excess;
    video.playbackRate = Math.min(FASTEST, Math.max(SLOWEST, rate));
  }

  jump(edge: number): void {
    this.#behind = TARGET_S;
    this.video.playbackRate = 1;
    this.jumpedTo = Math.max(0, edge - TARGET_S);
    this.video.currentTime = this.jumpedTo;
  }
}
