/** Feeds segments to a media element, one after the other, and forgets what was shown. */

import { type MediaSourceClass, typeOf } from "./media_source";

/** Segments that may wait: they wait only while the browser is busy with others. */
const MOST_WAITING = 240;
const KEPT_S = 10;
const TRIM_AT_S = 30;

/** An initialisation segment, or fragments after it. */
export interface Segment {
  data: ArrayBuffer;
  /** Of a fragment: when its frame is to be shown, in seconds of the video. */
  time?: number;
  /** Of an initialisation segment: what follows it, and where in the video that begins. */
  begins?: { codec: string; offset: number };
}

export class SegmentBuffer {
  #source: MediaSource;
  #buffer: SourceBuffer | null = null;
  #codec = "";
  #waiting: Segment[] = [];
  #appending: Segment | null = null;
  #url: string;

  /** `onFailed` is called once; then nothing works any more. */
  constructor(
    Source: MediaSourceClass,
    private readonly video: HTMLVideoElement,
    private readonly handlers: {
      /** The newest frame is there, and no other waits. */
      onAppended: (time: number) => void;
      onFailed: (reason: string) => void;
    },
  ) {
    this.#source = new Source();
    this.#source.addEventListener("sourceopen", this.#next);
    this.#url = URL.createObjectURL(this.#source);
    video.disableRemotePlayback = true; // without it, iOS does not open a ManagedMediaSource
    video.src = this.#url;
  }

  add(segment: Segment): void {
    this.#waiting.push(segment);
    if (this.#waiting.length > MOST_WAITING) this.#fail("the browser accepts no more video");
    else this.#next();
  }

  close(): void {
    this.#source.removeEventListener("sourceopen", this.#next);
    this.#buffer?.removeEventListener("updateend", this.#done);
    this.#buffer = null;
    this.#waiting = [];
    this.video.removeAttribute("src");
    this.video.load();
    URL.revokeObjectURL(this.#url);
  }

  #done = (): void => {
    const time = this.#appending?.time;
    this.#appending = null;
    if (time !== undefined && !this.#waiting.length) this.handlers.onAppended(time);
    if (!this.#trim()) this.#next();
  };

  #next = (): void => {
    if (this.#source.readyState !== "open" || this.#buffer?.updating) return;
    const segment = this.#waiting[0];
    if (!segment) return;
    try {
      if (segment.begins) this.#prepare(segment.begins);
      this.#buffer?.appendBuffer(segment.data);
      this.#appending = this.#waiting.shift()!;
    } catch (error) {
      if (error instanceof DOMException && error.name === "QuotaExceededError" && this.#trim()) return;
      this.#fail(error instanceof Error ? error.message : String(error));
    }
  };

  #prepare({ codec, offset }: { codec: string; offset: number }): void {
    if (!this.#buffer) {
      this.#buffer = this.#source.addSourceBuffer(typeOf(codec));
      this.#buffer.addEventListener("updateend", this.#done);
    } else {
      this.#buffer.abort(); // what a lost connection has left unfinished
      if (codec !== this.#codec) this.#buffer.changeType(typeOf(codec));
    }
    this.#codec = codec;
    this.#buffer.timestampOffset = offset;
  }

  /** Remove what was shown long ago; whether there was anything. */
  #trim(): boolean {
    const buffer = this.#buffer;
    const { currentTime } = this.video;
    if (!buffer || buffer.updating || this.#source.readyState !== "open" || !buffer.buffered.length) return false;
    if (currentTime - buffer.buffered.start(0) < TRIM_AT_S) return false;
    buffer.remove(0, currentTime - KEPT_S);
    return true;
  }

  #fail(reason: string): void {
    this.close();
    this.handlers.onFailed(reason);
  }
}
