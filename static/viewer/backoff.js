/** Growing pauses between attempts, up to a limit, with jitter. */

const FIRST_MS = 500;
const LONGEST_MS = 15_000;

export class Backoff {
  #attempts = 0;

  /** @returns {number} the next pause, in milliseconds */
  next() {
    const wait = Math.min(LONGEST_MS, FIRST_MS * 2 ** this.#attempts);
    this.#attempts += 1;
    return wait * (0.75 + Math.random() / 4);
  }

  /** Start again with the first pause, after a success. */
  reset() {
    this.#attempts = 0;
  }
}
