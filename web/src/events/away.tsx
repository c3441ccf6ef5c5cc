/** What happened while one was away: counts by camera and type since the last visit. */

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { call, withQuery } from "../api/client";
import { session } from "../api/session";
import { Button } from "../parts";
import { link } from "../shell/router";
import { remember, remembered } from "../stored";
import { ago, number } from "../words";
import { t } from "../words/events";
import { typeName } from "./event";

const AWAY_S = 600;
const EVERY_MS = 30_000;

interface Counts {
  total: number;
  counts: { camera_id: string; event: string; count: number; newest_ts: number }[];
}

/** Each person of a shared browser has a time of their own. */
function storedName(): string {
  const now = session.get();
  return `events.seen.${now.kind === "open" ? (now.account.name ?? now.account.caller) : ""}`;
}

function lastSeen(): number | null {
  const seconds = Number(remembered(storedName()));
  return Number.isFinite(seconds) && seconds > 0 ? seconds : null;
}

export function Away({ nameOf }: { nameOf: (camera: string) => string }): JSX.Element | null {
  const [since] = useState(lastSeen);
  const [counts, setCounts] = useState<Counts | null>(null);
  useEffect(() => {
    const seen = () => {
      if (!document.hidden) remember(storedName(), String(Math.floor(Date.now() / 1000)));
    };
    const isAway = since !== null && Date.now() / 1000 - since > AWAY_S;
    if (isAway) {
      call<Counts>(withQuery("api/events/counts", { since }))
        .then((found) => setCounts(found.total > 0 ? found : null))
        .catch(() => {});
    }
    seen();
    const timer = setInterval(seen, EVERY_MS);
    return () => clearInterval(timer);
  }, []);
  if (!counts || since === null) return null;
  const cameras = new Map<string, Counts["counts"]>();
  for (const one of counts.counts) cameras.set(one.camera_id, [...(cameras.get(one.camera_id) ?? []), one]);
  return (
    <section class="events-away" aria-label={t("away", { when: ago(since) })}>
      <header>
        <strong>{t("away", { when: ago(since) })}</strong>
        <span class="hint">{t("away_events", { n: counts.total })}</span>
        <Button small kind="quiet" onClick={() => setCounts(null)}>
          {t("away_seen")}
        </Button>
      </header>
      <ul>
        {[...cameras].map(([camera, found]) => (
          <li key={camera}>
            <a href={link("events", { camera })}>{nameOf(camera)}</a>
            {found.map(({ event, count }) => (
              <a key={event} class="events-count" href={link("events", { camera, type: event })}>
                {typeName(event)} <b>{number(count)}</b>
              </a>
            ))}
          </li>
        ))}
      </ul>
    </section>
  );
}
