/** What is recorded of a camera, as the server lists it. */

export interface Period {
  begin_ts: number;
  end_ts: number;
}

export interface Span extends Period {
  kind: "event" | "continuous";
  flagged: boolean;
  bytes: number;
}

export type GapReason = "no_video" | "full" | "failed" | "stopped" | "killed" | "not_recorded";

export interface Gap extends Period {
  reason: GapReason | null;
}

export interface Recorded extends Period {
  stream_id: string;
  record: "off" | "events" | "continuous" | null;
  /** Why nothing is recorded now. */
  problem: string | null;
  spans: Span[];
  gaps: Gap[];
  bytes: number;
}

/** Times of which there is video, of either kind, without overlaps. */
export function covered(spans: readonly Period[]): Period[] {
  const found: Period[] = [];
  for (const { begin_ts, end_ts } of [...spans].sort((a, b) => a.begin_ts - b.begin_ts)) {
    const last = found.at(-1);
    if (last && begin_ts <= last.end_ts + 1.5) last.end_ts = Math.max(last.end_ts, end_ts);
    else found.push({ begin_ts, end_ts });
  }
  return found;
}

/** The time nearest to one at which there is video; null if there is none. */
export function nearest(periods: readonly Period[], ts: number): number | null {
  let best: number | null = null;
  for (const { begin_ts, end_ts } of periods) {
    const inside = Math.min(Math.max(ts, begin_ts), Math.max(begin_ts, end_ts - 0.5));
    if (best === null || Math.abs(inside - ts) < Math.abs(best - ts)) best = inside;
  }
  return best;
}
