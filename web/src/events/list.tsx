/** The list: by day, read further as one scrolls, with as much in memory however long it is. */

import type { JSX, RefObject } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { at } from "../api/client";
import { dayOf } from "../days";
import { Button, FlagIcon, Problem, Spinner, UpIcon } from "../parts";
import { clock, day as dayName } from "../words";
import { t } from "../words/events";
import { type StoredEvent, subjects, typeName } from "./event";
import type { Feed } from "./feed";

const AT_TOP = 24;

export interface ListProps {
  feed: Feed;
  selected: number | undefined;
  nameOf: (camera: string) => string;
  hrefOf: (event: StoredEvent) => string;
  /** Told whether the newest are in sight. */
  onTop: (top: boolean) => void;
}

export function EventList({ feed, selected, nameOf, hrefOf, onTop }: ListProps): JSX.Element {
  const scroller = useRef<HTMLDivElement>(null);
  const older = useRef<HTMLDivElement>(null);
  const newer = useRef<HTMLDivElement>(null);
  const readOlder = () => feed.older((page) => heightOf(scroller.current, page));
  const readNewer = () => feed.newer();
  useSight(older, scroller, feed.hasOlder && !feed.busy && !feed.problem ? readOlder : null, feed.pages);
  useSight(newer, scroller, feed.hasNewer && !feed.busy && !feed.problem ? readNewer : null, feed.pages);
  useLayoutEffect(() => {
    scroller.current?.scrollTo(0, 0);
    onTop(true);
  }, [feed]);
  useLayoutEffect(() => {
    scroller.current?.querySelector(`[data-id="${selected}"]`)?.scrollIntoView({ block: "nearest" });
  }, [selected]);
  let day = "";
  return (
    <div class="events-list">
      {feed.fresh.length > 0 && (
        <div class="events-fresh">
          <Button
            small
            kind="primary"
            icon={UpIcon}
            onClick={() => {
              scroller.current?.scrollTo(0, 0);
              void feed.showFresh();
            }}
          >
            {t("fresh", { n: feed.fresh.length })}
          </Button>
        </div>
      )}
      <div
        class="events-scroll"
        ref={scroller}
        tabIndex={0}
        role="region"
        aria-label={t("list")}
        onScroll={({ currentTarget }) => {
          const top = currentTarget.scrollTop < AT_TOP;
          if (top && feed.hasNewer) void feed.restart(); // with the Home key: the pages between are not needed
          onTop(top && !feed.hasNewer);
        }}
      >
        <Space height={feed.above} space={newer} />
        {feed.pages.map((page, index) => (
          <ol key={feed.first + index} data-page={feed.first + index}>
            {page.events.map((event) => {
              const own = dayOf(event.ts);
              const begins = own !== day;
              day = own;
              return (
                <li key={event.id} data-id={event.id}>
                  {begins && <h2 class="events-day">{dayName(event.ts)}</h2>}
                  <Row event={event} selected={event.id === selected} name={nameOf(event.camera_id)} href={hrefOf(event)} />
                </li>
              );
            })}
          </ol>
        ))}
        {feed.problem && <Problem text={feed.problem} onRetry={() => void (feed.pages.length ? readOlder() : feed.restart())} />}
        {feed.busy && <Spinner />}
        <div ref={older} />
      </div>
    </div>
  );
}

function Row(props: { event: StoredEvent; selected: boolean; name: string; href: string }): JSX.Element {
  const { event, selected, name, href } = props;
  const about = subjects(event).join(" · ");
  return (
    <a class="events-row" href={href} aria-current={selected ? "true" : undefined}>
      {event.snapshot ? (
        <img src={at(event.snapshot).href} alt="" loading="lazy" decoding="async" width="96" height="54" />
      ) : (
        <span class="events-blank" />
      )}
      <span class="events-what">
        <strong>{typeName(event.event)}</strong>
        {about && <span class="events-about">{about}</span>}
        <span class="hint">
          {clock(event.ts)} · {name}
        </span>
      </span>
      {event.flagged && (
        <span class="events-flag" title={t("flagged")}>
          <FlagIcon />
          <span class="unseen">{t("flagged")}</span>
        </span>
      )}
    </a>
  );
}

/** Room for pages that are not kept. The policy forbids style attributes, not styles set by scripts. */
function Space({ height, space }: { height: number; space: RefObject<HTMLDivElement | null> }): JSX.Element {
  useLayoutEffect(() => {
    space.current!.style.height = `${height}px`;
  }, [height]);
  return <div ref={space} aria-hidden="true" />;
}

function heightOf(scroller: HTMLElement | null, page: number): number {
  return scroller?.querySelector<HTMLElement>(`[data-page="${page}"]`)?.offsetHeight ?? 0;
}

/**
 * Calls the function when an element is near to being seen, or still is after the content changed:
 * an observer says nothing of one that went and came back between two frames.
 */
function useSight(
  element: { current: HTMLElement | null },
  root: { current: HTMLElement | null },
  action: (() => void) | null,
  content: unknown,
): void {
  const newest = useRef(action);
  newest.current = action;
  const active = action !== null;
  useEffect(() => {
    if (!active) return;
    const observer = new IntersectionObserver(
      ([entry]) => {
        if (entry!.isIntersecting) newest.current?.();
      },
      { root: root.current, rootMargin: "600px 0px" },
    );
    observer.observe(element.current!);
    return () => observer.disconnect();
  }, [active, content]);
}
