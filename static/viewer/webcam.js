/** Sends this computer's camera to the server, as fast as the server answers and no faster. */

import { Refused, call, probe, socketAt } from "./api.js";
import { Backoff } from "./backoff.js";
import { announce, byId, make, tell, write } from "./dom.js";
import { number, onChange, t } from "./i18n.js";
import { summary } from "./labels.js";
import { showAddresses } from "./share.js";
import { CLOSED_BY_POLICY, CLOSED_NOT_FOUND, STREAM_NOT_FOUND, parse } from "./wire.js";

/** @typedef {import("./wire.js").Ack} Ack */

const WIDTH = 1280;
const QUALITY = 0.8;
const MOST_PER_SECOND = 20;
const IN_FLIGHT = 2;
/** Without an answer for so long, the frames under way count as lost. */
const LOST_MS = 3000;
const RATE_MS = 3000;
const SHOW_EVERY_MS = 500;

/** What the browser says when it gives no camera: DOMException.name. */
const PROBLEMS = new Map([
  ["NotAllowedError", "webcam.denied"],
  ["SecurityError", "webcam.denied"],
  ["NotFoundError", "webcam.missing"],
  ["OverconstrainedError", "webcam.missing"],
  ["NotReadableError", "webcam.busy"],
  ["AbortError", "webcam.busy"],
]);

/** One camera on its way to one stream, until it is closed. */
class Pusher {
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
  #video;
  #handlers;

  /**
   * @param {string} streamId
   * @param {HTMLVideoElement} video  plays the camera
   * @param {object} handlers
   * @param {(ack: Ack) => void} handlers.onAck
   * @param {(streamId: string) => void} handlers.onRenewed  the stream has a new id
   * @param {(key: string, reason: string) => void} handlers.onProblem  a text's key; empty: none any more
   * @param {(key: string, reason: string) => void} handlers.onOver  nothing is sent any more
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
    } else if (message?.type === "error") {
      if (message.code === STREAM_NOT_FOUND) this.#unknown = true;
      else this.#handlers.onProblem("webcam.bad_frame", message.message);
      if (message.frame) this.#answer(message.frame);
    } else if (message?.type === "end") {
      this.close();
      this.#handlers.onOver("webcam.refused", message.reason ?? "");
    }
  }

  /** @param {number} frame  the server is done with this one and all before */
  #answer(frame) {
    this.#answered = Math.max(this.#answered, frame);
    this.#pump();
  }

  /** Send a frame when one is due, and see to it that this is asked again. */
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

  /** @returns {Promise<Blob | null>} what the camera sees now, as a JPEG */
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
    if (code === CLOSED_BY_POLICY) {
      this.close();
      this.#handlers.onOver("webcam.refused", reason);
      return;
    }
    this.#handlers.onProblem("webcam.lost", "");
    const gone = code === CLOSED_NOT_FOUND || this.#unknown;
    this.#retry = setTimeout(() => (gone ? this.#renew() : this.#connect()), this.#backoff.next());
  }

  /** The server ended the stream while the connection was lost: ask for another. */
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

/** The card with the button, the preview, and what the server says to it. */
export class Webcam {
  #preview = /** @type {HTMLVideoElement} */ (byId("webcam-preview"));
  #devices = byId("webcam-devices");
  #device = /** @type {HTMLSelectElement} */ (byId("webcam-device"));
  #problem = byId("webcam-problem");
  #facts = byId("webcam-facts");
  #share = byId("webcam-share");
  #start = /** @type {HTMLButtonElement} */ (byId("webcam-start"));
  #stop = byId("webcam-stop");
  /** @type {Pusher | null} */
  #pusher = null;
  /** @type {MediaStream | null} */
  #media = null;
  /** @type {WakeLockSentinel | null} */
  #awake = null;
  /** @type {{key: string, reason: string}} */
  #said = { key: "", reason: "" };
  /** @type {Ack | null} */
  #ack = null;
  /** @type {number[]} when answers came within the last seconds */
  #answers = [];
  #dropped = 0;
  #starting = false;
  #timer = 0;
  #handlers;

  /**
   * @param {object} handlers
   * @param {(streamId: string) => void} handlers.onStream  watch this
   * @param {(streamId: string) => void} handlers.onStopped
   * @param {() => void} handlers.onLocked  the server wants the token
   */
  constructor(handlers) {
    this.#handlers = handlers;
    this.#start.addEventListener("click", () => this.#begin());
    this.#stop.addEventListener("click", () => this.#end());
    this.#device.addEventListener("change", () => this.#openCamera(this.#device.value));
    onChange(() => this.#render());
  }

  async #begin() {
    this.#say("");
    if (!navigator.mediaDevices?.getUserMedia) {
      this.#say(isSecureContext ? "webcam.unsupported" : "webcam.insecure");
      return;
    }
    this.#starting = true;
    this.#render();
    try {
      if (await this.#openCamera("")) await this.#push(await request());
    } catch (error) {
      this.#release();
      if (error instanceof Refused && error.status === 401) this.#handlers.onLocked();
      else if (error instanceof Refused) this.#say("webcam.failed", error.message);
      else this.#say((await probe()) === "unreachable" ? "token.unreachable" : "webcam.failed", String(error));
    }
    this.#starting = false;
    this.#render();
  }

  /** @param {string} streamId */
  async #push(streamId) {
    this.#answers = [];
    this.#dropped = 0;
    this.#ack = null;
    this.#pusher = new Pusher(streamId, this.#preview, {
      onAck: (ack) => this.#count(ack),
      onRenewed: (renewed) => {
        this.#handlers.onStream(renewed);
        announce(t("webcam.renewed"));
        this.#render();
      },
      onProblem: (key, reason) => this.#say(key, reason),
      onOver: (key, reason) => {
        this.#end();
        this.#say(key, reason);
      },
    });
    this.#handlers.onStream(streamId);
    announce(t("webcam.sending"));
    this.#stop.hidden = false;
    this.#stop.focus({ preventScroll: true });
    this.#awake = (await navigator.wakeLock?.request("screen").catch(() => null)) ?? null;
    if (!this.#pusher) this.#release();
  }

  /**
   * Play a camera in the preview, instead of the one before.
   *
   * @param {string} deviceId  empty for the browser's choice
   * @returns {Promise<boolean>} whether there is one; if not, why was said
   */
  async #openCamera(deviceId) {
    const choice = deviceId ? { deviceId: { exact: deviceId } } : {};
    stopAll(this.#media);
    try {
      this.#media = await navigator.mediaDevices.getUserMedia({
        audio: false,
        video: { width: { ideal: WIDTH }, height: { ideal: 720 }, ...choice },
      });
    } catch (error) {
      const key = error instanceof DOMException ? PROBLEMS.get(error.name) : undefined;
      this.#end();
      this.#say(key ?? "webcam.failed", String(error));
      return false;
    }
    const [track] = this.#media.getVideoTracks();
    track.addEventListener("ended", () => {
      this.#end();
      this.#say("webcam.unplugged");
    });
    this.#preview.srcObject = this.#media;
    await this.#preview.play();
    await this.#listDevices(track);
    return true;
  }

  /** @param {MediaStreamTrack} track  the one in use */
  async #listDevices(track) {
    const devices = await navigator.mediaDevices.enumerateDevices();
    const cameras = devices.filter(({ kind }) => kind === "videoinput");
    const { deviceId } = track.getSettings();
    this.#device.replaceChildren(
      ...cameras.map((camera, index) =>
        make("option", {
          value: camera.deviceId,
          selected: camera.deviceId === deviceId,
          textContent: camera.label || t("webcam.device_name", { n: index + 1 }),
        }),
      ),
    );
    this.#devices.hidden = cameras.length < 2;
  }

  /** @param {Ack} ack */
  #count(ack) {
    const now = performance.now();
    this.#ack = ack;
    this.#dropped += ack.dropped;
    this.#answers.push(now);
    while (this.#answers[0] < now - RATE_MS) this.#answers.shift();
    this.#timer ||= setTimeout(() => this.#render(), SHOW_EVERY_MS);
  }

  #end() {
    const streamId = this.#pusher?.streamId;
    this.#pusher?.close();
    this.#pusher = null;
    this.#release();
    this.#say("");
    if (streamId === undefined) return;
    this.#start.hidden = false;
    this.#start.focus({ preventScroll: true });
    announce(t("webcam.stopped"));
    this.#handlers.onStopped(streamId);
  }

  #release() {
    stopAll(this.#media);
    this.#media = null;
    this.#preview.srcObject = null;
    this.#awake?.release();
    this.#awake = null;
    this.#render();
  }

  /** @param {string} key  of a text; empty for none @param {string} [reason] */
  #say(key, reason = "") {
    this.#said = { key, reason };
    this.#render();
  }

  #render() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    const { key, reason } = this.#said;
    const running = this.#pusher !== null;
    tell(this.#problem, key && t(key, { reason }));
    this.#start.hidden = running;
    this.#start.disabled = this.#starting;
    write(this.#start, t(this.#starting ? "webcam.starting" : "webcam.start"));
    this.#stop.hidden = !running;
    this.#preview.hidden = !this.#media;
    if (!running) this.#devices.hidden = true;
    this.#facts.hidden = !running;
    this.#renderShare();
    this.#renderFacts();
  }

  #renderShare() {
    const shown = this.#pusher ? `${this.#pusher.streamId} ${document.documentElement.lang}` : "";
    this.#share.hidden = !shown;
    if (shown && this.#share.dataset.shown !== shown) {
      showAddresses(this.#share, this.#pusher?.streamId ?? "");
    }
    this.#share.dataset.shown = shown;
  }

  #renderFacts() {
    if (!this.#ack) {
      for (const id of ["webcam-saw", "webcam-rate", "webcam-dropped"]) write(byId(id), "–");
      return;
    }
    const fps = this.#answers.length / (RATE_MS / 1000);
    const ms = number(this.#ack.timing.total_ms);
    write(byId("webcam-saw"), summary(this.#ack.detections) || t("webcam.nothing"));
    write(byId("webcam-rate"), t("webcam.rate_value", { fps: number(fps), ms }));
    write(byId("webcam-dropped"), number(this.#dropped));
  }
}

/** @returns {Promise<string>} the id of a new stream to send to */
async function request() {
  const body = { name: t("webcam.name"), analytics: ["smoking"] };
  const { stream_id: streamId } = await call("stream/request", body);
  return streamId;
}

/** @param {MediaStream | null} media */
function stopAll(media) {
  for (const track of media?.getTracks() ?? []) track.stop();
}
