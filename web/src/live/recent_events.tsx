/** The newest events of one camera: those of before, and those that happen while it is watched. */

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { at, call, withQuery } from "../api/client";
import { type EventMessage, useLiveEvents } from "../api/events";
import { Card } from "../parts";
import { link } from "../shell/router";
import { clock, number, percent } from "../words";
import { t } from "../words/live";
import { titleOf } from "./alarms";

const MOST = 20;

export function RecentEvents({ camera }: { camera: string }): JSX.Element {
  const [events, setEvents] = useState<EventMessage[]>([]);
  const merge = (more: EventMessage[]) =>
    setEvents((known) => {
      const all = new Map([...known, ...more].map((event) => [event.id, event]));
      return [...all.values()].sort((a, b) => b.id - a.id).slice(0, MOST);
    });
  useLiveEvents((message) => {
    if (message.type === "event" && message.camera_id === camera) merge([message]);
  });
  useEffect(() => {
    setEvents([]);
    const path = withQuery("api/events", { camera, limit: MOST });
    const control = new AbortController();
    call<{ events: EventMessage[] }>(path, { signal: control.signal })
      .then((page) => merge(page.events))
      .catch(() => {}); // the socket still brings what happens from now on
    return () => control.abort();
  }, [camera]);
  return (
    <Card title={t("events")} actions={<a href={link("events", { camera })}>{t("all_events")}</a>}>
      {events.length === 0 ? (
        <p class="hint">{t("no_events")}</p>
      ) : (
        <ol class="recent-events" tabIndex={0} aria-label={t("events")}>
          {events.map((event) => (
            <li key={event.id}>
              <RecentEvent event={event} />
            </li>
          ))}
        </ol>
      )}
    </Card>
  );
}

function RecentEvent({ event }: { event: EventMessage }): JSX.Element {
  const { id, ts, snapshot, confidence, duration_s: duration } = event;
  const facts = [
    clock(ts),
    confidence !== null && percent(confidence),
    duration !== null && t("lasted", { n: number(duration, duration < 10 ? 1 : 0) }),
  ].filter(Boolean);
  return (
    <a class="recent-event" href={link("events", String(id))}>
      {snapshot ? <img src={at(snapshot).href} alt="" loading="lazy" decoding="async" /> : <span class="recent-blank" />}
      <span>
        <strong>{titleOf(event)}</strong>
        <span class="hint">{facts.join(" · ")}</span>
      </span>
    </a>
  );
}
