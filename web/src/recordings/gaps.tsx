/** Below the timeline: the gaps with their reasons, and the events of the day. */

import type { JSX } from "preact";
import { type StoredEvent, subjects, typeName } from "../events/event";
import { Card } from "../parts";
import { link } from "../shell/router";
import { clock, number } from "../words";
import { t as eventWords } from "../words/events";
import { t } from "../words/recordings";
import type { Gap, Recorded } from "./spans";

const MOST = 200;

export function Gaps(props: {
  recorded: Recorded;
  events: readonly StoredEvent[];
  onSeek: (ts: number) => void;
}): JSX.Element {
  const { recorded, events, onSeek } = props;
  return (
    <div class="timeline-lists">
      <Card title={t("gaps")}>
        {recorded.gaps.length === 0 ? (
          <p class="hint">{t("no_gaps")}</p>
        ) : (
          <ul class="rows timeline-rows">
            {recorded.gaps.slice(-MOST).map((gap) => (
              <li key={gap.begin_ts}>
                <button type="button" class="timeline-jump" onClick={() => onSeek(gap.begin_ts - 1)}>
                  {clock(gap.begin_ts)} – {clock(gap.end_ts)}
                </button>
                <span class="hint">{reason(gap)}</span>
              </li>
            ))}
          </ul>
        )}
      </Card>
      <Card title={eventWords("list")}>
        {events.length === 0 ? (
          <p class="hint">{t("no_events")}</p>
        ) : (
          <ul class="rows timeline-rows">
            {events.slice(0, MOST).map((event) => (
              <li key={event.id}>
                <button type="button" class="timeline-jump" onClick={() => onSeek(event.ts - 2)}>
                  {clock(event.ts)}
                </button>
                <a href={link("events", String(event.id))}>{[typeName(event.event), ...subjects(event)].join(" · ")}</a>
              </li>
            ))}
          </ul>
        )}
      </Card>
    </div>
  );
}

function reason(gap: Gap): string {
  const seconds = gap.end_ts - gap.begin_ts;
  const length = seconds < 120 ? t("seconds", { n: Math.round(seconds) }) : t("minutes", { n: number(seconds / 60) });
  return `${length} · ${t(`gap.${gap.reason ?? "unknown"}`)}`;
}
