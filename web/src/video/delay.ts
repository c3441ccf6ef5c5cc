/** How old the frame on the screen is, although the clocks of server and browser may differ. */

const FORGET = 1.000_01; // the clocks may drift apart by ten seconds in a million

export class Delay {
  /** The least difference of the two clocks seen so far: that of the message with the shortest way. */
  #offset = Infinity;

  /**
   * When a frame was captured, on the clock of `performance.now()`.
   *
   * @param ts Unix seconds on the server's clock
   * @param ageMs its age when the message was sent
   */
  capturedAt(ts: number, ageMs: number): number {
    const now = performance.now();
    const difference = now - (ts * 1000 + ageMs);
    this.#offset = Math.min(difference, this.#offset + (FORGET - 1) * 1000);
    return now - ageMs - (difference - this.#offset);
  }
}
