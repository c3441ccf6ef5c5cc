/** The card of this computer's camera: the button, the preview, and the server's answers. */

import { Refused, probe } from "./api.js";
import { announce, byId, make, tell, write } from "./dom.js";
import { number, onChange, t } from "./i18n.js";
import { summary } from "./labels.js";
import { Pusher, WIDTH, request } from "./pusher.js";
import { showAddresses } from "./share.js";

/** @typedef {import("./wire.js").Ack} Ack */

const RATE_MS = 3000;
const SHOW_EVERY_MS = 500;

/** Texts by the browser's reason for not opening the camera (DOMException.name). */
const PROBLEMS = new Map([
  ["NotAllowedError", "webcam.denied"],
  ["SecurityError", "webcam.denied"],
  ["NotFoundError", "webcam.missing"],
  ["OverconstrainedError", "webcam.missing"],
  ["NotReadableError", "webcam.busy"],
  ["AbortError", "webcam.busy"],
]);

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
  /** @type {number[]} times of the last seconds' answers */
  #answers = [];
  #dropped = 0;
  #starting = false;
  #timer = 0;
  #handlers;

  /**
   * @param {object} handlers
   * @param {(streamId: string) => void} handlers.onStream  has started
   * @param {(streamId: string) => void} handlers.onStopped
   * @param {() => void} handlers.onLocked  the server requires the token
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
      onDropped: () => (this.#dropped += 1),
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
   * Play a camera in the preview, in place of the last one.
   *
   * @param {string} deviceId  empty for the browser's choice
   * @returns {Promise<boolean>} whether there is one; if not, the reason is shown
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

  /** @param {string} key  key of a text; empty for none @param {string} [reason] */
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

/** @param {MediaStream | null} media */
function stopAll(media) {
  for (const track of media?.getTracks() ?? []) track.stop();
}
