/** A WebSocket that reconnects by itself, with growing pauses. */

import { at, socketAt } from "./client";

const FIRST_MS = 500;
const LONGEST_MS = 15_000;
/** The close code of a stream that is over; a server that shuts down has another. */
export const CLOSED_NORMALLY = 1000;
const CLOSED_BY_POLICY = 1008;
const FORBIDDEN = 4403;
const NOT_FOUND = 4404;
const NO_VIDEO = 4409;
const FINAL = [CLOSED_BY_POLICY, FORBIDDEN, NOT_FOUND, NO_VIDEO];

/**
 * - `closed`: the server closed it for good, with a close code and its reason
 * - `waiting`: lost, with the close code; the next attempt follows by itself
 */
export type Link =
  | { kind: "connecting" | "open" }
  | { kind: "waiting"; code: number }
  | { kind: "closed"; code: number; reason: string };

export interface SocketHandlers {
  onText?: (text: string) => void;
  onBinary?: (data: ArrayBuffer) => void;
  onLink?: (link: Link) => void;
}

/** Growing pauses between attempts, up to a limit, with jitter. */
export class Backoff {
  #attempts = 0;

  /** The next pause, in milliseconds. */
  next(): number {
    const wait = Math.min(LONGEST_MS, FIRST_MS * 2 ** this.#attempts);
    this.#attempts += 1;
    return wait * (0.75 + Math.random() / 4);
  }

  /** Start again with the first pause, after a success. */
  reset(): void {
    this.#attempts = 0;
  }
}

export class Socket {
  #socket: WebSocket | null = null;
  #backoff = new Backoff();
  #timer = 0;
  #over = false;

  /** `path` may be a function, for one that changes from attempt to attempt. */
  constructor(
    private readonly path: string | (() => string),
    private readonly handlers: SocketHandlers,
  ) {
    addEventListener("online", this.retry);
    this.#connect();
  }

  send(data: string | ArrayBuffer): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(data);
  }

  /** Try again now, if it waits. */
  retry = (): void => {
    if (!this.#socket && !this.#over) this.#connect();
  };

  /** Close it; it does not reconnect. */
  close(): void {
    this.#over = true;
    removeEventListener("online", this.retry);
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #connect(): void {
    clearTimeout(this.#timer);
    this.#tell({ kind: "connecting" });
    const path = typeof this.path === "string" ? this.path : this.path();
    const socket = new WebSocket(socketAt(path));
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.#tell({ kind: "open" });
    socket.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) => this.#hear(data);
    socket.onclose = ({ code, reason }) => this.#closed(code, reason);
    this.#socket = socket;
  }

  #hear(data: string | ArrayBuffer): void {
    this.#backoff.reset();
    if (typeof data === "string") this.handlers.onText?.(data);
    else this.handlers.onBinary?.(data);
  }

  #closed(code: number, reason: string): void {
    this.#socket = null;
    if (FINAL.includes(code)) {
      this.close();
      this.#tell({ kind: "closed", code, reason });
      return;
    }
    this.#tell({ kind: "waiting", code });
    this.#timer = setTimeout(this.retry, this.#backoff.next());
  }

  #tell(link: Link): void {
    this.handlers.onLink?.(link);
  }
}

/** Whether the server answers at all; a browser does not say why a socket does not open. */
export async function serverAnswers(): Promise<boolean> {
  try {
    return (await fetch(at("healthz"), { cache: "no-store", signal: AbortSignal.timeout(4000) })).ok;
  } catch {
    return false;
  }
}
