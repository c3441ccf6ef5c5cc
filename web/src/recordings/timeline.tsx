/** A strip of time: what is recorded, the gaps, events, and a playhead that one drags. */

import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { StoredEvent } from "../events/event";
import { typeName } from "../events/event";
import { clock, withSeconds } from "../words";
import { t } from "../words/recordings";
import { Preview } from "./preview";
import type { Period, Recorded } from "./spans";

export interface TimelineProps {
  camera: string;
  recorded: Recorded;
  events: readonly StoredEvent[];
  /** What the strip shows. */
  shown: Period;
  /** Where the playhead is. */
  at: number;
  /** What is chosen to be downloaded. */
  chosen: Period | null;
  onSeek: (ts: number) => void;
  onZoom: (factor: number, around: number) => void;
}

const STEP_S = 10;
const KEYS: Record<string, number> = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 };
const TICKS_S = [10, 30, 60, 300, 600, 1800, 3600, 7200, 10_800, 21_600, 43_200];
const TICK_PX = 96;

export function Timeline(props: TimelineProps): JSX.Element {
  const { camera, recorded, events, shown, at, chosen, onSeek, onZoom } = props;
  const strip = useRef<HTMLDivElement>(null);
  const [pointed, setPointed] = useState<number | null>(null);
  const dragging = useRef(false);
  const width = useWidth(strip);
  const length = shown.end_ts - shown.begin_ts;
  const share = (ts: number) => Math.min(1, Math.max(0, (ts - shown.begin_ts) / length));
  const timeAt = (clientX: number) => {
    const { left, width } = strip.current!.getBoundingClientRect();
    return shown.begin_ts + length * Math.min(1, Math.max(0, (clientX - left) / width));
  };
  useEffect(() => {
    const element = strip.current!;
    const onWheel = (event: WheelEvent) => {
      event.preventDefault();
      onZoom(event.deltaY > 0 ? 1.5 : 1 / 1.5, timeAt(event.clientX));
    };
    element.addEventListener("wheel", onWheel, { passive: false });
    return () => element.removeEventListener("wheel", onWheel);
  });
  const onKeyDown = (event: KeyboardEvent) => {
    const direction = KEYS[event.key];
    const step = event.shiftKey ? 6 * STEP_S : STEP_S;
    if (direction !== undefined && !event.ctrlKey && !event.metaKey) onSeek(at + direction * step);
    else if (event.key === "PageUp") onSeek(at - 600);
    else if (event.key === "PageDown") onSeek(at + 600);
    else if (event.key === "Home") onSeek(shown.begin_ts);
    else if (event.key === "End") onSeek(shown.end_ts);
    else if (event.key === "+" || event.key === "=") onZoom(0.5, at);
    else if (event.key === "-") onZoom(2, at);
    else return;
    event.preventDefault();
  };
  return (
    <div class="timeline">
      <Ticks shown={shown} share={share} most={width / TICK_PX} />
      <div
        ref={strip}
        class="timeline-strip"
        role="slider"
        tabIndex={0}
        aria-label={t("position")}
        aria-valuemin={Math.round(shown.begin_ts)}
        aria-valuemax={Math.round(shown.end_ts)}
        aria-valuenow={Math.round(at)}
        aria-valuetext={withSeconds(at)}
        onKeyDown={onKeyDown}
        onPointerDown={(event) => {
          if (event.button !== 0) return;
          event.currentTarget.setPointerCapture(event.pointerId);
          dragging.current = true;
          setPointed(timeAt(event.clientX));
        }}
        onPointerMove={(event) => setPointed(timeAt(event.clientX))}
        onPointerUp={(event) => {
          if (!dragging.current) return;
          dragging.current = false;
          onSeek(timeAt(event.clientX));
          if (event.pointerType !== "mouse") setPointed(null);
        }}
        onPointerCancel={() => {
          dragging.current = false;
          setPointed(null);
        }}
        onPointerLeave={() => !dragging.current && setPointed(null)}
      >
        {recorded.spans.map((span) => (
          <Bar key={`${span.kind}${span.begin_ts}`} class={`timeline-span ${span.kind}`} period={span} share={share} flagged={span.flagged} />
        ))}
        {chosen && <Bar class="timeline-chosen" period={chosen} share={share} />}
        {events.map((event) => (
          <Mark key={event.id} class="timeline-event" at={share(event.ts)} title={`${typeName(event.event)}, ${clock(event.ts)}`} />
        ))}
        {pointed !== null && <Mark class="timeline-pointed" at={share(pointed)} />}
        <Mark class="timeline-head" at={share(at)} />
      </div>
      {pointed !== null && <Preview camera={camera} ts={pointed} at={share(pointed)} recorded={recorded.spans} />}
    </div>
  );
}

/** The width of an element, in pixels. */
function useWidth(element: { current: HTMLElement | null }): number {
  const [width, setWidth] = useState(1000);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => setWidth(entry!.contentRect.width));
    observer.observe(element.current!);
    return () => observer.disconnect();
  }, []);
  return width;
}

/** A part of the strip. Styles are set by script: the policy forbids style attributes. */
function Bar(props: {
  class: string;
  period: Period;
  share: (ts: number) => number;
  flagged?: boolean;
}): JSX.Element {
  const bar = useRef<HTMLSpanElement>(null);
  const left = props.share(props.period.begin_ts);
  const right = props.share(props.period.end_ts);
  useLayoutEffect(() => {
    bar.current!.style.left = `${100 * left}%`;
    bar.current!.style.width = `${100 * (right - left)}%`;
  }, [left, right]);
  return <span ref={bar} class={props.class} data-flagged={props.flagged || undefined} hidden={right <= left} />;
}

function Mark({ class: name, at, title }: { class: string; at: number; title?: string }): JSX.Element {
  const mark = useRef<HTMLSpanElement>(null);
  useLayoutEffect(() => {
    mark.current!.style.left = `${100 * at}%`;
  }, [at]);
  return <span ref={mark} class={name} title={title} />;
}

function Ticks(props: { shown: Period; share: (ts: number) => number; most: number }): JSX.Element {
  const { shown, share, most } = props;
  const length = shown.end_ts - shown.begin_ts;
  const step = TICKS_S.find((one) => length / one <= most) ?? TICKS_S.at(-1)!;
  const offset = new Date(shown.begin_ts * 1000).getTimezoneOffset() * 60;
  const first = Math.ceil((shown.begin_ts - offset) / step) * step + offset;
  const times: number[] = [];
  for (let ts = first; ts <= shown.end_ts; ts += step) times.push(ts);
  return (
    <div class="timeline-ticks" aria-hidden="true">
      {times.map((ts) => (
        <Tick key={ts} at={share(ts)} text={step < 60 ? clock(ts) : clock(ts, { seconds: false })} />
      ))}
    </div>
  );
}

function Tick({ at, text }: { at: number; text: string }): JSX.Element {
  const tick = useRef<HTMLSpanElement>(null);
  useLayoutEffect(() => {
    tick.current!.style.left = `${100 * at}%`;
  }, [at]);
  return <span ref={tick}>{text}</span>;
}
