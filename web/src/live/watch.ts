/** The socket of one enlarged stream: its name and its state. `video/` shows it. */

import { useEffect, useState } from "preact/hooks";
import type { StreamState } from "../api/cameras";
import { CLOSED_NORMALLY, type Link, Socket } from "../api/socket";
import { type Hello, type Message, parse } from "../video/wire";

const NOT_FOUND = "STREAM_NOT_FOUND";

export interface Watched {
  link: Link["kind"] | "ended" | "unknown";
  hello: Hello | null;
  state: StreamState | null;
  /** Why it does not run, or has ended; the server's text. */
  reason: string;
}

const NOTHING: Watched = { link: "connecting", hello: null, state: null, reason: "" };

/** What the server says about a stream; another `attempt` asks again after an end. */
export function useWatch(streamId: string, attempt: number): Watched {
  const [watched, setWatched] = useState(NOTHING);
  useEffect(() => {
    setWatched(NOTHING);
    const watch = new Watch(streamId, (changes) => setWatched((now) => ({ ...now, ...changes })));
    return () => watch.close();
  }, [streamId, attempt]);
  return watched;
}

class Watch {
  readonly #socket: Socket;
  #over = false;
  #ending = "";

  constructor(
    streamId: string,
    private readonly tell: (changes: Partial<Watched>) => void,
  ) {
    this.#socket = new Socket(`ws/stream/${encodeURIComponent(streamId)}`, {
      onText: (text) => this.#onText(text),
      onLink: (link) => this.#onLink(link),
    });
    document.addEventListener("visibilitychange", this.#onVisible);
  }

  close(): void {
    document.removeEventListener("visibilitychange", this.#onVisible);
    this.#socket.close();
  }

  #onVisible = (): void => {
    if (!document.hidden) this.#socket.retry();
  };

  #onLink(link: Link): void {
    if (this.#over) return;
    if (link.kind === "waiting" && link.code === CLOSED_NORMALLY) {
      this.#finish({ link: "ended", reason: this.#ending });
      return;
    }
    this.tell({ link: link.kind, ...(link.kind === "closed" && { reason: link.reason }) });
  }

  #onText(text: string): void {
    const message = parse(text);
    if (message) this.#onMessage(message);
  }

  #onMessage(message: Message): void {
    switch (message.type) {
      case "hello":
        this.tell({ hello: message, state: message.state, reason: "" });
        break;
      case "state":
        this.tell({ state: message.state, reason: message.reason ?? "" });
        break;
      case "end":
        this.#ending = message.reason ?? "";
        break;
      case "error":
        this.#finish({ link: message.code === NOT_FOUND ? "unknown" : "closed", reason: message.message });
        break;
    }
  }

  /** The server has ended it; a new attempt is the person's. */
  #finish(changes: Partial<Watched>): void {
    this.#over = true;
    this.#socket.close();
    this.tell(changes);
  }
}
