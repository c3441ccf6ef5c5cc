/** The clip of an event, or why there is none yet. */

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { at, problemOf } from "../api/client";
import { refusalOf } from "../api/media";
import { Problem } from "../parts";
import { t } from "../words/events";
import type { StoredEvent } from "./event";

type State =
  | { kind: "loading" | "ready" | "none" }
  | { kind: "waiting"; seconds: number }
  | { kind: "failed"; problem: string };

export function Clip({ event }: { event: StoredEvent }): JSX.Element {
  const { clip, snapshot, id } = event;
  const [state, setState] = useState<State>({ kind: clip ? "loading" : "none" });
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    if (!clip) return setState({ kind: "none" });
    setState({ kind: "loading" });
    const control = new AbortController();
    let timer = 0;
    const ask = async () => {
      const next = await look(clip, control.signal);
      if (control.signal.aborted) return;
      setState(next);
      if (next.kind === "waiting") timer = setTimeout(ask, 1000 * Math.min(next.seconds, 5));
    };
    void ask();
    return () => {
      control.abort();
      clearTimeout(timer);
    };
  }, [id, clip, attempt]);
  const poster = snapshot ? at(snapshot).href : undefined;
  if (state.kind === "ready") {
    return (
      <video
        key={id}
        class="event-video"
        src={at(clip!).href}
        poster={poster}
        controls
        autoplay
        muted
        loop
        playsInline
        aria-label={t("clip")}
        onError={() => setState({ kind: "failed", problem: t("clip_failed") })}
      />
    );
  }
  return (
    <div class="event-still">
      {poster ? <img src={poster} alt={t("clip")} /> : <p>{t("no_snapshot")}</p>}
      {state.kind === "failed" ? (
        <Problem text={state.problem} onRetry={() => setAttempt(attempt + 1)} />
      ) : (
        <p class="event-note" role="status">
          {state.kind === "waiting" && t("clip_waiting", { n: state.seconds })}
          {state.kind === "loading" && t("clip_loading")}
          {state.kind === "none" && t("clip_none")}
        </p>
      )}
    </div>
  );
}

/** Ask for the first byte of a clip. */
async function look(path: string, signal: AbortSignal): Promise<State> {
  try {
    const refused = await refusalOf(path, signal);
    if (!refused) return { kind: "ready" };
    if (refused.code === "CLIP_NOT_READY") {
      return { kind: "waiting", seconds: Number(refused.details.retry_after_s) || 1 };
    }
    return refused.status === 404 ? { kind: "none" } : { kind: "failed", problem: refused.message };
  } catch (error) {
    return { kind: "failed", problem: problemOf(error) };
  }
}
