/** The events of all cameras: a list by day, filters, and one event with its clip. */

import "./events.css";
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { useCameras } from "../api/cameras";
import { at, call, problemOf, Refused } from "../api/client";
import { useLiveEvents } from "../api/events";
import { useRights } from "../api/session";
import { dayBegin, ZONE } from "../days";
import { useKeys } from "../live/keys";
import { Button, ButtonLink, DownloadIcon, Empty, EventsIcon, Problem, Spinner, toast, View } from "../parts";
import { go } from "../shell/router";
import type { ViewProps } from "../shell/views";
import { dateTime } from "../words";
import { t } from "../words/events";
import { t as shell } from "../words/shell";
import { Away } from "./away";
import { change, EventDetail } from "./detail";
import { type StoredEvent, typeName } from "./event";
import { Feed } from "./feed";
import { addressOf, type Filters, filtered, filtersOf, takes } from "./filters";
import { FilterBar } from "./filter_bar";
import { EventList } from "./list";

export default function Events({ path, query }: ViewProps): JSX.Element {
  const filters = filtersOf(query);
  const id = path[0] !== undefined && /^\d+$/.test(path[0]) ? Number(path[0]) : undefined;
  const may = useRights();
  const cameras = useCameras().data ?? [];
  const { feed, onTop } = useFeed(filters);
  const shown = useEvent(id, feed);
  const nameOf = (camera: string) => cameras.find((one) => one.camera_id === camera)?.name ?? camera;
  const choose = (next: Filters) => go(addressOf(next, id), { replace: true });
  const open = (event: StoredEvent | undefined) => event && go(addressOf(filters, event.id), { replace: true });
  const close = () => go(addressOf(filters), { replace: true });

  const events = feed.events;
  const place = events.findIndex((event) => event.id === id);
  const step = (by: number) => () => {
    const next = events[place + by];
    if (next) open(next);
    else if (by > 0) void feed.older();
  };
  const onChanged = (event: StoredEvent) => {
    feed.update(event);
    shown.set(event);
  };
  const flag = () => {
    const event = shown.event;
    if (!event || !may("control", event.camera_id)) return;
    change(event, { flagged: !event.flagged }).then(onChanged, (error: unknown) => toast(problemOf(error), { bad: true }));
  };
  useKeys({
    j: step(1),
    k: place > 0 ? step(-1) : () => {},
    ArrowDown: step(1),
    ArrowUp: place > 0 ? step(-1) : () => {},
    Enter: () => open(events[Math.max(0, place)]),
    f: flag,
    Escape: close,
    "/": () => document.querySelector<HTMLInputElement>(".events-search input")?.focus(),
  });

  const active = Object.values(filters).some(Boolean);
  const nothing = feed.pages.length > 0 && events.length === 0 && feed.fresh.length === 0;
  return (
    <View
      class={id === undefined ? "events" : "events detailed"}
      title={shell("nav.events")}
      actions={
        <>
          <span class="hint events-total" role="status">
            {feed.total !== null && t("count", { n: feed.total })}
          </span>
          {may("export") && <Exports filters={filters} />}
        </>
      }
    >
      <Away nameOf={nameOf} />
      <FilterBar filters={filters} cameras={cameras} onChange={choose}>
        {may("export") && <Exports filters={filters} />}
      </FilterBar>
      <div class="events-columns">
        {nothing ? (
          <Empty
            icon={EventsIcon}
            title={t("empty")}
            actions={active && <Button onClick={() => choose({})}>{t("clear")}</Button>}
          >
            {active ? t("empty_filtered") : t("empty_text")}
          </Empty>
        ) : (
          <EventList
            feed={feed}
            selected={id}
            nameOf={nameOf}
            hrefOf={(event) => addressOf(filters, event.id)}
            onTop={onTop}
          />
        )}
        <div class="events-detail">
          {shown.event ? (
            <EventDetail
              key={shown.event.id}
              event={shown.event}
              name={nameOf(shown.event.camera_id)}
              onChange={onChanged}
              onClose={close}
              onNext={place >= 0 && place + 1 < events.length ? step(1) : undefined}
              onPrevious={place > 0 ? step(-1) : undefined}
            />
          ) : shown.problem ? (
            <Problem text={shown.problem} />
          ) : id !== undefined ? (
            <Spinner />
          ) : (
            !nothing && (
              <p class="events-choose hint">
                {t("choose")}
                <br />
                {t("keys")}
              </p>
            )
          )}
        </div>
      </div>
      <p class="unseen" role="status">
        {shown.event &&
          t("event_of", {
            type: typeName(shown.event.event),
            camera: nameOf(shown.event.camera_id),
            when: dateTime(shown.event.ts),
          })}
      </p>
    </View>
  );
}

function Exports({ filters }: { filters: Filters }): JSX.Element {
  const query = { timezone: filters.hours ? ZONE : null, since: filters.day ? dayBegin(filters.day) : null };
  const href = (kind: string) => at(filtered(`api/events/export.${kind}`, filters, query)).href;
  return (
    <>
      <ButtonLink small icon={DownloadIcon} href={href("csv")} download>
        {t("export_csv")}
      </ButtonLink>
      <ButtonLink small icon={DownloadIcon} href={href("json")} download>
        {t("export_json")}
      </ButtonLink>
    </>
  );
}

/** The list with these filters, which takes what happens meanwhile. */
function useFeed(filters: Filters): { feed: Feed; onTop: (top: boolean) => void } {
  const [, update] = useState(0);
  const key = JSON.stringify(filters);
  const current = useRef<{ key: string; feed: Feed } | null>(null);
  const top = useRef(true);
  if (current.current?.key !== key) {
    current.current?.feed.close();
    current.current = { key, feed: new Feed(filters, () => update((n) => n + 1)) };
  }
  const { feed } = current.current;
  useEffect(() => {
    void feed.restart();
    return () => feed.close();
  }, [feed]);
  useLiveEvents((message) => {
    if (message.type === "missed") {
      if (top.current) void feed.restart();
    } else if (takes(filters, message)) feed.add(message, top.current);
  });
  return {
    feed,
    onTop(now) {
      top.current = now;
      if (now && feed.fresh.length > 0 && feed.first === 0) void feed.showFresh();
    },
  };
}

/** The event with an id: from the list, or asked for. */
function useEvent(
  id: number | undefined,
  feed: Feed,
): { event: StoredEvent | undefined; problem: string | undefined; set: (event: StoredEvent) => void } {
  const [found, setFound] = useState<{ id: number; event?: StoredEvent; problem?: string } | null>(null);
  const listed = feed.events.find((event) => event.id === id);
  useEffect(() => {
    if (id === undefined) return setFound(null);
    if (listed) return setFound({ id, event: listed });
    const control = new AbortController();
    call<StoredEvent>(`api/events/${id}`, { signal: control.signal }).then(
      (event) => setFound({ id, event }),
      (error: unknown) => {
        if (control.signal.aborted) return;
        const gone = error instanceof Refused && error.status === 404;
        setFound({ id, problem: gone ? t("gone") : problemOf(error) });
      },
    );
    return () => control.abort();
  }, [id]);
  const own = found?.id === id ? found : null;
  return {
    event: listed ?? own?.event,
    problem: own?.problem,
    set: (event) => setFound({ id: event.id, event }),
  };
}
