/** Plays a stream's H.264 video through Media Source Extensions, as close to live as it can. */

import { CLOSED_NORMALLY, type Link, Socket } from "../api/socket";
import { LiveEdge } from "./live_edge";
import type { MediaSourceClass } from "./media_source";
import { typeOf } from "./media_source";
import { Delay } from "./delay";
import type { PlayerHandlers, RunningPlayer } from "./player_types";
import { SegmentBuffer } from "./segment_buffer";
import { shownFrames } from "./shown_frames";
import type { Picture } from "./stage";
import { Timeline } from "./timeline";
import { parse, type VideoFrame, type VideoKind } from "./wire";

const CHECK_MS = 1000;
/** A hidden page needs no video, and its timers and its decoder may sleep. */
const HIDDEN_MS = 5000;
const STUCK_MS = 3000;
/** Failures within this time after which this browser is not asked again. */
const PATIENCE_MS = 60_000;
const MOST_FAILURES = 3;
/** Between two connections, in the video. */
const GAP_S = 1;

export interface MseHandlers extends PlayerHandlers {
  /** It cannot be played in this way, with the reason; the player is closed. */
  onGiveUp: (reason: string) => void;
}

export class MsePlayer implements RunningPlayer {
  #socket: Socket | null = null;
  #segments: SegmentBuffer | null = null;
  #timeline = new Timeline();
  #delay = new Delay();
  #edge: LiveEdge;
  #next: VideoKind | VideoFrame | null = null;
  #kind: VideoKind | null = null;
  #offset = 0;
  #fresh = true;
  #failures: number[] = [];
  #watchdog: number;
  #hiddenTimer = 0;
  #moved = { time: -1, at: 0 };
  #stopFrames: () => void;

  constructor(
    private readonly Source: MediaSourceClass,
    private readonly video: HTMLVideoElement,
    private readonly stream: string,
    private readonly handlers: MseHandlers,
  ) {
    this.#edge = new LiveEdge(video);
    video.addEventListener("error", this.#broken);
    document.addEventListener("visibilitychange", this.#visible);
    this.#stopFrames = shownFrames(video, this.#shown);
    this.#watchdog = window.setInterval(this.#check, CHECK_MS);
    this.#connect();
  }

  close(): void {
    clearInterval(this.#watchdog);
    clearTimeout(this.#hiddenTimer);
    this.#stopFrames();
    document.removeEventListener("visibilitychange", this.#visible);
    this.video.removeEventListener("error", this.#broken);
    this.#disconnect();
    this.#segments?.close();
    this.#segments = null;
  }

  // ── the connection ──────────────────────────────────────────────────────────────────────

  #connect(): void {
    this.#socket = new Socket(`api/streams/${encodeURIComponent(this.stream)}/video`, {
      onText: this.#hear,
      onBinary: this.#receive,
      onLink: this.#linked,
    });
  }

  #disconnect(): void {
    this.#socket?.close();
    this.#socket = null;
  }

  #linked = (link: Link): void => {
    this.#fresh = true;
    if (link.kind === "waiting" && link.code === CLOSED_NORMALLY) this.#disconnect();
  };

  #hear = (text: string): void => {
    const message = parse(text);
    if (message?.type === "video" || message?.type === "frame") this.#next = message;
    else if (message?.type === "error" && message.code === "NO_VIDEO") this.#giveUp(message.message);
  };

  #receive = (data: ArrayBuffer): void => {
    const message = this.#next;
    this.#next = null;
    if (message?.type === "video") this.#begin(message, data);
    else if (message) this.#add(message, data);
  };

  // ── segments ────────────────────────────────────────────────────────────────────────────

  #begin(kind: VideoKind, header: ArrayBuffer): void {
    if (!this.Source.isTypeSupported(typeOf(kind.codec))) {
      this.#giveUp(kind.codec);
      return;
    }
    this.#kind = kind;
    if (this.#fresh) this.#offset = (this.#timeline.edge ?? -GAP_S) + GAP_S;
    this.#fresh = false;
    this.#segments ??= new SegmentBuffer(this.Source, this.video, {
      onAppended: this.#appended,
      onFailed: this.#failed,
    });
    this.#segments.add({ data: header, begins: { codec: kind.codec, offset: this.#offset } });
  }

  #add(message: VideoFrame, data: ArrayBuffer): void {
    if (!this.#kind || !this.#segments) return;
    const time = this.#offset + message.time / this.#kind.timescale;
    const capturedAt = this.#delay.capturedAt(message.ts, message.age_ms);
    const { frame, ts, width, height, detections } = message;
    this.#timeline.add({ frame, ts, width, height, detections, time, capturedAt });
    this.#segments.add({ data, time });
  }

  #appended = (edge: number): void => {
    this.#edge.follow(edge);
    if (this.video.paused && !document.hidden) void this.video.play().catch(() => undefined);
  };

  #shown = (time: number, picture: Picture): void => {
    const frame = this.#timeline.at(time);
    // From before a jump: the video itself would already show what comes after it.
    const left = frame && frame.time < (this.#timeline.at(this.#edge.jumpedTo)?.time ?? 0);
    if (frame && !left) this.handlers.onFrame(frame, picture);
    else if ("close" in picture) picture.close();
  };

  // ── what goes wrong ─────────────────────────────────────────────────────────────────────

  #broken = (): void => this.#failed(this.video.error?.message ?? "");

  /** Begin again, but not for ever: a browser that cannot play this will not learn it. */
  #failed = (reason: string): void => {
    const now = performance.now();
    this.#failures = [...this.#failures.filter((at) => now - at < PATIENCE_MS), now];
    if (this.#failures.length >= MOST_FAILURES) {
      this.#giveUp(reason);
      return;
    }
    this.#restart();
  };

  #restart(): void {
    this.#disconnect();
    this.#segments?.close();
    this.#segments = null;
    this.#timeline.clear();
    this.#edge = new LiveEdge(this.video);
    this.#moved = { time: -1, at: performance.now() };
    this.#connect();
  }

  #giveUp(reason: string): void {
    this.close();
    this.handlers.onGiveUp(reason);
  }

  /** Frames arrive, but the picture stands still: go to the newest, and if that was tried, begin again. */
  #check = (): void => {
    const now = performance.now();
    const edge = this.#timeline.edge;
    if (this.video.currentTime !== this.#moved.time || document.hidden || edge === null) {
      this.#moved = { time: this.video.currentTime, at: now };
      return;
    }
    const behind = edge - this.video.currentTime;
    if (behind <= 0 || now - this.#moved.at < STUCK_MS) return;
    if (now - this.#moved.at > 2 * STUCK_MS) this.#failed("the picture stands still");
    else this.#edge.jump(edge);
  };

  #visible = (): void => {
    clearTimeout(this.#hiddenTimer);
    if (document.hidden) this.#hiddenTimer = window.setTimeout(() => this.#disconnect(), HIDDEN_MS);
    else if (!this.#socket) this.#restart();
    else if (this.#timeline.edge !== null) this.#edge.jump(this.#timeline.edge);
  };
}
