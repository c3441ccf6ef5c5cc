/** Waits between attempts that grow, up to a limit, and are never quite the same for two pages. */

const FIRST_MS = 500;
const LONGEST_MS = 15_000;

export class Backoff {
  #attempts = 0;

  /** @returns {number} how long to wait now, in milliseconds */
  next() {
    const wait = Math.min(LONGEST_MS, FIRST_MS * 2 ** this.#attempts);
    this.#attempts += 1;
    return wait * (0.75 + Math.random() / 4);
  }

  /** It worked: begin anew next time. */
  reset() {
    this.#attempts = 0;
  }
}
