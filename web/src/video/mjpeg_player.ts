/** Shows a stream as one JPEG after the other: for browsers, and streams, without H.264 video. */

import { CLOSED_NORMALLY, type Link, Socket } from "../api/socket";
import { Delay } from "./delay";
import type { PlayerHandlers, RunningPlayer } from "./player_types";
import { parse, type Result } from "./wire";

export class MjpegPlayer implements RunningPlayer {
  #socket: Socket;
  #result: Result | null = null;
  #delay = new Delay();
  /** The newest frame that is not drawn yet: a newer one replaces it. */
  #next: { result: Result; jpeg: ArrayBuffer } | null = null;
  #busy = false;
  #over = false;

  constructor(
    stream: string,
    private readonly handlers: PlayerHandlers,
  ) {
    this.#socket = new Socket(`ws/stream/${encodeURIComponent(stream)}?pictures=1`, {
      onText: this.#hear,
      onBinary: this.#receive,
      onLink: this.#linked,
    });
  }

  close(): void {
    this.#over = true;
    this.#next = null;
    this.#socket.close();
  }

  #linked = (link: Link): void => {
    if (link.kind === "waiting" && link.code === CLOSED_NORMALLY) this.#socket.close();
  };

  #hear = (text: string): void => {
    const message = parse(text);
    if (message?.type === "result") this.#result = message;
  };

  #receive = (jpeg: ArrayBuffer): void => {
    if (!this.#result) return;
    this.#next = { result: this.#result, jpeg };
    void this.#show();
  };

  async #show(): Promise<void> {
    const next = this.#next;
    if (!next || this.#busy || document.hidden) return;
    this.#busy = true;
    this.#next = null;
    const { result, jpeg } = next;
    try {
      const picture = await createImageBitmap(new Blob([jpeg], { type: "image/jpeg" }));
      if (this.#over) picture.close();
      else {
        const capturedAt = this.#delay.capturedAt(result.ts, result.latency_ms);
        this.handlers.onFrame({ ...result, time: 0, capturedAt }, picture);
      }
    } catch {
      // a JPEG that this browser cannot decode: the last frame stays until the next one
    }
    this.#busy = false;
    if (!this.#over) void this.#show();
  }
}
