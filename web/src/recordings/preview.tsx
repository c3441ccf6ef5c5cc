/** A small picture of what was recorded at a time; one call at a time, the newest wins. */

import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { at as url, withQuery } from "../api/client";
import { clock } from "../words";
import { t } from "../words/recordings";
import type { Period } from "./spans";

const STEP_S = 2;
const WIDTH = 240;

export function Preview(props: { camera: string; ts: number; at: number; recorded: readonly Period[] }): JSX.Element {
  const { camera, ts, at, recorded } = props;
  const box = useRef<HTMLDivElement>(null);
  const there = recorded.some(({ begin_ts, end_ts }) => begin_ts <= ts && ts < end_ts);
  const source = useNewest(there ? frameUrl(camera, Math.floor(ts / STEP_S) * STEP_S + 1) : null);
  useLayoutEffect(() => {
    box.current!.style.left = `clamp(0px, calc(${100 * at}% - ${WIDTH / 2}px), calc(100% - ${WIDTH}px))`;
  }, [at]);
  return (
    <div class="timeline-preview" ref={box} aria-hidden="true">
      {there && source ? <img src={source} alt="" /> : <span class="timeline-blank">{there ? "" : t("nothing_recorded")}</span>}
      <span>{clock(ts)}</span>
    </div>
  );
}

export function frameUrl(camera: string, ts: number, width = WIDTH): string {
  return url(withQuery("api/recordings/frame", { stream: camera, at: ts, width, preview: true })).href;
}

/** The newest picture that is loaded; while one loads, later ones wait and only the last is asked for. */
function useNewest(source: string | null): string | null {
  const [shown, setShown] = useState<string | null>(null);
  const wanted = useRef<string | null>(null);
  const loading = useRef(false);
  const over = useRef(false);
  const load = () => {
    const next = wanted.current;
    if (loading.current || next === null || over.current) return;
    loading.current = true;
    const image = new Image();
    image.onload = image.onerror = (event) => {
      loading.current = false;
      if (over.current) return;
      setShown(event instanceof Event && event.type === "load" ? next : null);
      if (wanted.current !== next) load();
    };
    image.src = next;
  };
  useEffect(() => {
    wanted.current = source;
    load();
  }, [source]);
  useEffect(() => () => {
    over.current = true;
  }, []);
  return shown;
}
