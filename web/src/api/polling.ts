/** What the server says now, asked again and again while the page is visible. */

import { useEffect, useState } from "preact/hooks";
import { createStore, type Store } from "../store";
import { language } from "../words";
import { call, problemOf } from "./client";

export interface Polled<T> {
  /** The last reply; it stays while later calls fail. */
  data: T | undefined;
  /** Why the last call failed, in words. */
  problem: string | undefined;
  /** Ask now; resolves when the reply is there. */
  refresh: () => Promise<void>;
}

interface Result {
  data: unknown;
  problem: string | undefined;
}

/** For this long a reply is kept that nothing shows: the next view begins with it. */
const KEEP_MS = 5000;

/** One path that is asked for, by all components that show it. */
class Poll {
  readonly result: Store<Result> = createStore<Result>({ data: undefined, problem: undefined });
  readonly #intervals = new Map<symbol, number>();
  #timer = 0;
  #end = 0;
  #asking: Promise<void> | null = null;

  constructor(readonly path: string) {}

  add(everyMs: number): () => void {
    const key = Symbol();
    clearTimeout(this.#end);
    this.#intervals.set(key, everyMs);
    if (this.#intervals.size === 1) {
      document.addEventListener("visibilitychange", this.#onVisible);
      void this.refresh();
    } else this.#schedule();
    return () => {
      this.#intervals.delete(key);
      if (this.#intervals.size > 0) return;
      document.removeEventListener("visibilitychange", this.#onVisible);
      clearTimeout(this.#timer);
      this.#end = setTimeout(() => polls.get(this.path) === this && polls.delete(this.path), KEEP_MS);
    };
  }

  refresh = (): Promise<void> => {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = null;
      this.#schedule();
    });
    return this.#asking;
  };

  async #ask(): Promise<void> {
    try {
      this.result.set({ data: await call(this.path), problem: undefined });
    } catch (error) {
      this.result.set({ data: this.result.get().data, problem: problemOf(error) });
    }
  }

  #onVisible = (): void => {
    if (!document.hidden) void this.refresh();
  };

  get isShown(): boolean {
    return this.#intervals.size > 0;
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    const shortest = Math.min(...this.#intervals.values());
    if (document.hidden || !Number.isFinite(shortest)) return;
    this.#timer = setTimeout(this.refresh, shortest);
  }
}

const polls = new Map<string, Poll>();

function pollOf(path: string): Poll {
  let poll = polls.get(path);
  if (!poll) polls.set(path, (poll = new Poll(path)));
  return poll;
}

// Texts of the server are in the page's language.
language.subscribe(() => {
  for (const poll of polls.values()) void poll.refresh();
});

const NOTHING: Polled<never> = { data: undefined, problem: undefined, refresh: async () => {} };

/** What is known of a path before a component that shows it has begun to ask. */
function known<T>(path: string | null): Polled<T> {
  const poll = path === null ? undefined : polls.get(path);
  return poll ? { data: poll.result.get().data as T | undefined, problem: undefined, refresh: poll.refresh } : NOTHING;
}

/**
 * The reply of a GET, asked again every `everyMs` (Infinity: once). Components that ask for the same
 * path share one call. A null path asks for nothing.
 */
export function usePolled<T>(path: string | null, everyMs = 5000): Polled<T> {
  const [polled, setPolled] = useState<{ path: string | null; value: Polled<T> }>({ path: null, value: NOTHING });
  useEffect(() => {
    if (path === null) return;
    const poll = pollOf(path);
    const update = () => {
      const { data, problem } = poll.result.get();
      setPolled({ path, value: { data: data as T | undefined, problem, refresh: poll.refresh } });
    };
    const unsubscribe = poll.result.subscribe(update);
    update();
    const remove = poll.add(everyMs);
    return () => {
      unsubscribe();
      remove();
    };
  }, [path, everyMs]);
  return polled.path === path ? polled.value : known(path);
}

/** Ask now for every shown path that begins so, after something was changed there. */
export function refresh(prefix: string): void {
  for (const [path, poll] of polls) if (path.startsWith(prefix)) void poll.refresh();
}

/** Keep no reply that nothing shows: the next user may see less. */
export function forgetHidden(): void {
  for (const [path, poll] of polls) if (!poll.isShown) polls.delete(path);
}

/** A call that a button makes: whether it runs, why it failed, and the function that starts it. */
export function useAction(): {
  busy: boolean;
  problem: string | undefined;
  /** Whether the call succeeded. */
  run: (action: () => Promise<unknown>) => Promise<boolean>;
  clear: () => void;
} {
  const [state, setState] = useState<{ busy: boolean; problem?: string }>({ busy: false });
  return {
    busy: state.busy,
    problem: state.problem,
    clear: () => setState({ busy: false }),
    async run(action) {
      setState({ busy: true });
      try {
        await action();
        setState({ busy: false });
        return true;
      } catch (error) {
        setState({ busy: false, problem: problemOf(error) });
        return false;
      }
    },
  };
}
