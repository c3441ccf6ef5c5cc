/** Sends a camera's frames to the server, each once the last one was answered. */

import { call, socketAt } from "./api.js";
import { Backoff } from "./backoff.js";
import { t } from "./i18n.js";
import { CLOSED_BY_POLICY, CLOSED_NORMALLY, CLOSED_NOT_FOUND, STREAM_NOT_FOUND, parse } from "./wire.js";

/** @typedef {import("./wire.js").Ack} Ack */

/** Longest side of the frames that are sent, in pixels. */
export const WIDTH = 1280;
const QUALITY = 0.8;
const MOST_PER_SECOND = 20;
const IN_FLIGHT = 2;
/** Frames without an answer for this long count as lost. */
const LOST_MS = 3000;

/** Pushes one camera to one stream until it is closed. */
export class Pusher {
  /** @type {WebSocket | null} */
  #socket = null;
  #backoff = new Backoff();
  #canvas = document.createElement("canvas");
  #timer = 0;
  #retry = 0;
  #sent = 0;
  #answered = 0;
  #lastSentAt = 0;
  #encoding = false;
  #over = false;
  #unknown = false;
  /** @type {string | null} why the stream ended, once the server has sent that */
  #ending = null;
  #video;
  #handlers;

  /**
   * @param {string} streamId
   * @param {HTMLVideoElement} video  plays the camera
   * @param {object} handlers
   * @param {(ack: Ack) => void} handlers.onAck
   * @param {() => void} handlers.onDropped  a frame was replaced by a newer one
   * @param {(streamId: string) => void} handlers.onRenewed  the stream has a new id
   * @param {(key: string, reason: string) => void} handlers.onProblem  the key of a text; empty once it is solved
   * @param {(key: string, reason: string) => void} handlers.onOver  pushing has ended
   */
  constructor(streamId, video, handlers) {
    this.streamId = streamId;
    this.#video = video;
    this.#handlers = handlers;
    this.#connect();
  }

  close() {
    this.#over = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#retry);
    if (!this.#socket) return;
    this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close(1000);
    this.#socket = null;
  }

  #connect() {
    this.#unknown = false;
    this.#ending = null;
    this.#sent = this.#answered = 0;
    const socket = new WebSocket(socketAt(this.streamId));
    socket.onmessage = ({ data }) => this.#hear(data);
    socket.onclose = ({ code, reason }) => this.#closed(code, reason);
    this.#socket = socket;
  }

  /** @param {unknown} data */
  #hear(data) {
    const message = typeof data === "string" ? parse(data) : null;
    if (message?.type === "hello") {
      this.#backoff.reset();
      this.#handlers.onProblem("", "");
      this.#pump();
    } else if (message?.type === "ack") {
      this.#answer(message.frame);
      this.#handlers.onAck(message);
    } else if (message?.type === "dropped") {
      this.#answer(message.frame);
      this.#handlers.onDropped();
    } else if (message?.type === "error") {
      if (message.code === STREAM_NOT_FOUND) this.#unknown = true;
      else this.#handlers.onProblem("webcam.bad_frame", message.message);
      if (message.frame) this.#answer(message.frame);
    } else if (message?.type === "end") {
      this.#ending = message.reason ?? "";
    }
  }

  /** @param {number} frame  this one and all before it are answered */
  #answer(frame) {
    this.#answered = Math.max(this.#answered, frame);
    this.#pump();
  }

  /** Send a frame if one is due, and schedule the next check. */
  async #pump() {
    clearTimeout(this.#timer);
    if (this.#over || this.#encoding || this.#socket?.readyState !== WebSocket.OPEN) return;
    const now = performance.now();
    if (this.#sent - this.#answered >= IN_FLIGHT) {
      if (now - this.#lastSentAt < LOST_MS) return this.#pumpIn(LOST_MS - (now - this.#lastSentAt));
      this.#answered = this.#sent;
    }
    const early = this.#lastSentAt + 1000 / MOST_PER_SECOND - now;
    if (early > 0) return this.#pumpIn(early);
    this.#lastSentAt = now;
    await this.#send(this.#socket);
    this.#pumpIn(1000 / MOST_PER_SECOND);
  }

  /** @param {number} delay */
  #pumpIn(delay) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#pump(), delay);
  }

  /** @param {WebSocket} socket */
  async #send(socket) {
    this.#encoding = true;
    const jpeg = await this.#picture();
    this.#encoding = false;
    if (!jpeg || this.#over || socket.readyState !== WebSocket.OPEN) return;
    socket.send(jpeg);
    this.#sent += 1;
  }

  /** @returns {Promise<Blob | null>} the camera's current frame as JPEG */
  async #picture() {
    const { videoWidth, videoHeight } = this.#video;
    const ink = this.#canvas.getContext("2d", { alpha: false });
    if (!videoWidth || !ink) return null;
    const scale = Math.min(1, WIDTH / Math.max(videoWidth, videoHeight));
    this.#canvas.width = Math.round(videoWidth * scale);
    this.#canvas.height = Math.round(videoHeight * scale);
    ink.drawImage(this.#video, 0, 0, this.#canvas.width, this.#canvas.height);
    return new Promise((resolve) => this.#canvas.toBlob(resolve, "image/jpeg", QUALITY));
  }

  /** @param {number} code @param {string} reason */
  #closed(code, reason) {
    this.#socket = null;
    clearTimeout(this.#timer);
    if (code === CLOSED_BY_POLICY || (code === CLOSED_NORMALLY && this.#ending !== null)) {
      this.close();
      this.#handlers.onOver("webcam.refused", this.#ending ?? reason);
      return;
    }
    this.#handlers.onProblem("webcam.lost", "");
    const gone = code === CLOSED_NOT_FOUND || this.#unknown;
    this.#retry = setTimeout(() => (gone ? this.#renew() : this.#connect()), this.#backoff.next());
  }

  /** The server ended the stream while the connection was lost: request another. */
  async #renew() {
    try {
      const streamId = await request();
      if (this.#over) return;
      this.streamId = streamId;
      this.#connect();
      this.#handlers.onRenewed(streamId);
    } catch {
      if (!this.#over) this.#retry = setTimeout(() => this.#renew(), this.#backoff.next());
    }
  }
}

/** @returns {Promise<string>} the id of a new push stream */
export async function request() {
  const { stream_id: streamId } = await call("stream/request", { name: t("webcam.name") });
  return streamId;
}
