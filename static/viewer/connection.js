/** The WebSocket of a watched stream: it reconnects by itself and reports its state. */

import { at, probe, socketAt } from "./api.js";
import { Backoff } from "./backoff.js";
import { CLOSED_BY_POLICY, CLOSED_NORMALLY, CLOSED_NOT_FOUND, SERVER_GOES, STREAM_NOT_FOUND, parse } from "./wire.js";

/** @typedef {import("./wire.js").Message} Message */

const SILENT_MS = 5_000;
const PROBE_MS = 4_000;
/** How long a known stream may be missing: a restarted server needs a while to resume it. */
const GONE_MS = 30_000;
/** After this many attempts, a healthy server that opens no socket for an id does not know it. */
const MOST_REFUSALS = 2;

/**
 * The state of the connection:
 * - connecting: the first attempt
 * - open: messages arrive
 * - waiting: lost; the next attempt is at ``retryAt`` (performance.now()), or in progress if that is 0;
 *   ``gone`` if the server answers but has not resumed the stream yet
 * - ended: the server ended it; ``reason`` is its text
 * - unknown: there is no such stream
 * - refused: the server closed it permanently, with a ``reason``
 * - locked: the server requires the token
 *
 * @typedef {{kind: "connecting" | "open" | "unknown" | "locked"}
 *   | {kind: "waiting", retryAt: number, gone: boolean}
 *   | {kind: "ended" | "refused", reason: string}} Link
 */

export class Connection {
  /** @type {WebSocket | null} */
  #socket = null;
  #backoff = new Backoff();
  #timer = 0;
  #handlers;
  #watchdog;
  #opened = false;
  #greeted = false;
  #unknown = false;
  /** @type {string | null} why the stream ended, once the server has sent that */
  #ending = null;
  #asking = false;
  #over = false;
  #heardAt = 0;
  #refusals = 0;
  /** Since when a known stream is missing. */
  #missingSince = Infinity;

  /**
   * @param {string} streamId
   * @param {object} handlers
   * @param {(link: Link) => void} handlers.onLink
   * @param {(message: Message, text: string) => void} handlers.onMessage
   * @param {(jpeg: ArrayBuffer) => void} handlers.onPicture  belongs to the last result
   */
  constructor(streamId, handlers) {
    this.streamId = streamId;
    /** @type {Link} */
    this.link = { kind: "connecting" };
    this.#handlers = handlers;
    this.#watchdog = setInterval(() => this.#lookAlive(), 1000);
    addEventListener("online", this.retry);
    this.#connect();
  }

  /** Time since the last message, in milliseconds; 0 while not open. */
  get silence() {
    const silence = performance.now() - this.#heardAt;
    return this.link.kind === "open" && silence > SILENT_MS ? silence : 0;
  }

  /** Try again now. */
  retry = () => {
    if (this.link.kind === "waiting" && !this.#socket && !this.#over) this.#connect();
  };

  /** Close the connection; it does not reconnect. */
  close() {
    this.#over = true;
    removeEventListener("online", this.retry);
    clearInterval(this.#watchdog);
    clearTimeout(this.#timer);
    this.#drop();
  }

  #connect() {
    clearTimeout(this.#timer);
    this.#opened = false;
    this.#unknown = false;
    if (this.link.kind === "waiting") this.#become({ ...this.link, retryAt: 0 });
    const url = socketAt(this.streamId);
    url.searchParams.set("pictures", "1");
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => (this.#opened = true);
    socket.onmessage = ({ data }) => this.#hear(data);
    socket.onclose = ({ code, reason }) => this.#closed(code, reason);
    this.#socket = socket;
  }

  /** @param {string | ArrayBuffer} data */
  #hear(data) {
    this.#heardAt = performance.now();
    if (typeof data !== "string") {
      this.#handlers.onPicture(data);
      return;
    }
    const message = parse(data);
    if (!message) return;
    if (message.type === "error" && message.code === STREAM_NOT_FOUND) {
      this.#unknown = true;
      return;
    }
    if (message.type === "end") {
      this.#ending = message.reason ?? "";
      return;
    }
    if (message.type === "hello") {
      this.#greeted = true;
      this.#ending = null;
      this.#missingSince = Infinity;
      this.#refusals = 0;
      this.#backoff.reset();
      this.#become({ kind: "open" });
    }
    this.#handlers.onMessage(message, data);
  }

  /**
   * A server that shuts down ends its streams, too, but with another code: they may come back.
   *
   * @param {number} code
   * @param {string} reason
   */
  async #closed(code, reason) {
    this.#socket = null;
    if (SERVER_GOES.includes(code)) this.#ending = null;
    const ended = this.#ending !== null && (code === CLOSED_NORMALLY || code === CLOSED_NOT_FOUND);
    if (ended) this.#finish({ kind: "ended", reason: this.#ending ?? "" });
    else if (code === CLOSED_NOT_FOUND || this.#unknown) this.#missing();
    else if (!this.#opened) await this.#refused();
    else if (code === CLOSED_BY_POLICY) this.#finish({ kind: "refused", reason });
    else this.#wait(false);
  }

  /** The socket did not open. The browser does not say why, so ask the server. */
  async #refused() {
    const problem = await probe();
    if (this.#over) return;
    this.#refusals = problem === "fine" ? this.#refusals + 1 : 0;
    if (problem === "locked") this.#finish({ kind: "locked" });
    else if (this.#refusals < MOST_REFUSALS) this.#wait(false);
    else this.#missing();
  }

  /** The server answers but does not have the stream: not yet, or not at all. */
  #missing() {
    if (this.#missingSince === Infinity) {
      this.#missingSince = performance.now();
      this.#backoff.reset();
    }
    const comesBack = this.#greeted && performance.now() - this.#missingSince < GONE_MS;
    if (comesBack) this.#wait(true);
    else this.#finish({ kind: "unknown" });
  }

  /** @param {boolean} gone */
  #wait(gone) {
    const wait = this.#backoff.next();
    this.#become({ kind: "waiting", retryAt: performance.now() + wait, gone });
    this.#timer = setTimeout(this.retry, wait);
  }

  /** @param {Link} link */
  #finish(link) {
    this.close();
    this.#become(link);
  }

  /** @param {Link} link */
  #become(link) {
    this.link = link;
    this.#handlers.onLink(link);
  }

  #drop() {
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  /** A network failure may close no socket: if no messages arrive, check the server. */
  async #lookAlive() {
    if (!this.silence || this.#asking) return;
    this.#asking = true;
    const alive = await answers();
    this.#asking = false;
    if (alive || !this.silence || this.#over) return;
    this.#drop();
    this.#wait(false);
  }
}

/** Whether the server answers. */
async function answers() {
  const patience = AbortSignal.timeout(PROBE_MS);
  try {
    return (await fetch(at("healthz"), { cache: "no-store", signal: patience })).ok;
  } catch {
    return false;
  }
}
