/** The timeline of one camera, its player, and what one can download of it. */

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { type Camera, useCameras } from "../api/cameras";
import { at as url, call, withQuery } from "../api/client";
import { usePolled } from "../api/polling";
import { useRights } from "../api/session";
import { dayBegin, dayOf, ZONE } from "../days";
import type { StoredEvent } from "../events/event";
import { useKeys } from "../live/keys";
import {
  AddIcon,
  BackIcon,
  Button,
  ButtonLink,
  Calendar,
  CameraIcon,
  Dialog,
  DownloadIcon,
  Empty,
  ForwardIcon,
  IconButton,
  Problem,
  SelectField,
  Spinner,
} from "../parts";
import { go, link } from "../shell/router";
import { bytes, clock, day as dayName, withSeconds } from "../words";
import { t as cameraWords } from "../words/cameras";
import { t } from "../words/recordings";
import { Gaps } from "./gaps";
import { Player } from "./player";
import { covered, nearest, type Period, type Recorded } from "./spans";
import { Timeline } from "./timeline";

const DAY_S = 86_400;
const EVERY_MS = 10_000;
const MOST_EVENTS = 500;
const SHORTEST_S = 60;
const LONGEST_EXPORT_S = DAY_S;

export function TimelineView({ camera, query }: { camera: string | undefined; query: URLSearchParams }): JSX.Element {
  const cameras = useCameras();
  const known = cameras.data ?? [];
  const current = camera ?? known[0]?.camera_id;
  if (current === undefined) {
    return cameras.data ? <NoCameras /> : <Spinner />;
  }
  const asked = Number(query.get("at"));
  const at = Number.isFinite(asked) && asked > 0 ? asked : null;
  return <OneTimeline key={`${current} ${at}`} camera={current} cameras={known} asked={at} />;
}

function OneTimeline({ camera, cameras, asked }: { camera: string; cameras: Camera[]; asked: number | null }): JSX.Element {
  const may = useRights();
  const now = Date.now() / 1000;
  const [day, setDay] = useState(() => dayOf(asked ?? now));
  const whole: Period = { begin_ts: dayBegin(day), end_ts: dayBegin(day, 1) };
  const [shown, setShown] = useState<Period>(() => (asked ? around(asked, 900, whole) : whole));
  const [position, setPosition] = useState<number | null>(asked);
  const [played, setPlayed] = useState({ from: asked ?? 0, wish: 0, playing: false });
  const [chosen, setChosen] = useState<{ begin?: number; end?: number }>({});
  const [calendar, setCalendar] = useState(false);
  const period = { stream: camera, from: whole.begin_ts, to: Math.min(whole.end_ts, Math.max(now, whole.begin_ts + 1)) };
  const today = day === dayOf(now);
  const path = withQuery("api/recordings", { ...period, to: Math.ceil(period.to / 10) * 10 });
  const recorded = usePolled<Recorded>(path, today ? EVERY_MS : Infinity);
  const latest = useLatest(recorded.data, camera);
  const events = usePolled<{ events: StoredEvent[] }>(
    withQuery("api/events", { camera, since: whole.begin_ts, until: whole.end_ts, limit: MOST_EVENTS, order: "time", count: false }),
    today ? EVERY_MS : Infinity,
  );
  const periods = covered(latest?.spans ?? []);
  const last = periods.at(-1);
  const at = position ?? (last ? Math.max(last.begin_ts, last.end_ts - 60) : whole.begin_ts);
  const seek = (ts: number, playing = played.playing) => {
    const inside = Math.min(Math.max(ts, whole.begin_ts), whole.end_ts - 1);
    setPosition(inside);
    setPlayed({ from: inside, wish: played.wish + 1, playing });
    if (inside < shown.begin_ts || inside >= shown.end_ts) setShown(around(inside, (shown.end_ts - shown.begin_ts) / 2, whole));
  };
  const play = (from: number) => seek(periods.some((one) => one.begin_ts <= from && from < one.end_ts) ? from : (nearest(periods, from) ?? from), true);
  const zoom = (factor: number, middle: number) => {
    const half = ((shown.end_ts - shown.begin_ts) * factor) / 2;
    setShown(around(middle, Math.max(half, SHORTEST_S / 2), whole));
  };
  const toDay = (next: string) => {
    const begin = { begin_ts: dayBegin(next), end_ts: dayBegin(next, 1) };
    setDay(next);
    setShown(begin);
    setPosition(null);
    setChosen({});
    setPlayed({ from: 0, wish: 0, playing: false });
  };
  const step = (days: number) => toDay(dayOf(dayBegin(day, days) + 43_200));
  useKeys({
    " ": () => (played.playing ? setPlayed({ ...played, from: at, playing: false }) : play(at)),
    i: () => setChosen({ ...chosen, begin: at }),
    o: () => setChosen({ ...chosen, end: at }),
  });
  const choice = chosen.begin !== undefined && chosen.end !== undefined && chosen.end > chosen.begin
    ? { begin_ts: chosen.begin, end_ts: chosen.end }
    : null;
  return (
    <>
      <div class="timeline-head-line">
        <SelectField
          label={t("camera")}
          labelHidden
          value={camera}
          options={choices(cameras, camera)}
          onChange={(next) => go(link("recordings", next, position === null ? {} : { at: String(Math.round(at)) }))}
        />
        <span class="timeline-day">
          <IconButton icon={BackIcon} label={t("day_before")} onClick={() => step(-1)} />
          <Button onClick={() => setCalendar(true)}>{dayName(whole.begin_ts)}</Button>
          <IconButton icon={ForwardIcon} label={t("day_after")} disabled={today} onClick={() => step(1)} />
        </span>
        <span class="hint timeline-facts">
          {latest && t(`record.${latest.record ?? "gone"}`)}
          {latest && latest.bytes > 0 && ` · ${bytes(latest.bytes)}`}
        </span>
      </div>
      {latest?.problem && <Problem text={t("problem", { why: latest.problem })} />}
      {recorded.problem && !latest && <Problem text={recorded.problem} onRetry={() => void recorded.refresh()} />}
      {!latest && !recorded.problem && <Spinner />}
      {latest && (
        <>
          <Player
            camera={camera}
            from={played.playing ? played.from : at}
            wish={played.wish}
            playing={played.playing}
            periods={periods}
            onPlay={() => play(at)}
            onTime={setPosition}
            onEnd={(ts) => {
              const next = periods.find(({ end_ts }) => end_ts > ts + 1);
              if (next) seek(Math.max(next.begin_ts, ts), true);
              else setPlayed({ ...played, from: ts, playing: false });
            }}
          />
          <div class="timeline-controls">
            <strong class="timeline-now">{withSeconds(at)}</strong>
            <span class="timeline-zoom">
              <Button small onClick={() => zoom(0.5, at)} title={t("zoom_in")}>
                +
              </Button>
              <Button small onClick={() => zoom(2, at)} title={t("zoom_out")}>
                −
              </Button>
              <Button small onClick={() => setShown(whole)}>
                {t("whole_day")}
              </Button>
            </span>
            {may("export", camera) && (
              <span class="timeline-choose">
                <Button small icon={AddIcon} onClick={() => setChosen({ ...chosen, begin: at })} title={t("begin_here_key")}>
                  {chosen.begin === undefined ? t("begin_here") : clock(chosen.begin)}
                </Button>
                <Button small icon={AddIcon} onClick={() => setChosen({ ...chosen, end: at })} title={t("end_here_key")}>
                  {chosen.end === undefined ? t("end_here") : clock(chosen.end)}
                </Button>
                {choice && choice.end_ts - choice.begin_ts <= LONGEST_EXPORT_S && (
                  <>
                    <Button small onClick={() => play(choice.begin_ts)}>
                      {t("play_chosen")}
                    </Button>
                    <ButtonLink
                      small
                      kind="primary"
                      icon={DownloadIcon}
                      download
                      href={url(withQuery("api/recordings/export", { stream: camera, from: choice.begin_ts, to: choice.end_ts })).href}
                    >
                      {t("download_mp4")}
                    </ButtonLink>
                  </>
                )}
              </span>
            )}
          </div>
          <Timeline
            camera={camera}
            recorded={latest}
            events={events.data?.events ?? []}
            shown={shown}
            at={at}
            chosen={choice}
            onSeek={seek}
            onZoom={zoom}
          />
          <p class="hint timeline-keys">{t("keys")}</p>
          <Gaps recorded={latest} events={events.data?.events ?? []} onSeek={seek} />
        </>
      )}
      {calendar && <DayDialog camera={camera} day={day} onClose={() => setCalendar(false)} onChoose={(next) => { toDay(next); setCalendar(false); }} />}
    </>
  );
}

function NoCameras(): JSX.Element {
  const may = useRights();
  const add = may("control", "*") && (
    <ButtonLink kind="primary" icon={AddIcon} href={link("cameras", "new")}>{cameraWords("add_camera")}</ButtonLink>
  );
  return <Empty icon={CameraIcon} title={cameraWords("none")} actions={add}>{t("no_cameras_text")}</Empty>;
}

/** A time with so much before and after it, within the day. */
function around(ts: number, half: number, { begin_ts, end_ts }: Period): Period {
  const length = Math.min(2 * half, end_ts - begin_ts);
  const begin = Math.min(Math.max(ts - half, begin_ts), end_ts - length);
  return { begin_ts: begin, end_ts: begin + length };
}

/** The last reply, also while the path changes as time goes on. */
function useLatest(data: Recorded | undefined, camera: string): Recorded | undefined {
  const [latest, setLatest] = useState<Recorded>();
  useEffect(() => {
    if (data) setLatest(data);
  }, [data]);
  return latest?.stream_id === camera ? latest : undefined;
}

function choices(cameras: Camera[], camera: string): { value: string; label: string }[] {
  const known = cameras.map(({ camera_id: value, name: label }) => ({ value, label }));
  return known.some(({ value }) => value === camera) ? known : [...known, { value: camera, label: camera }];
}

function DayDialog(props: { camera: string; day: string; onChoose: (day: string) => void; onClose: () => void }): JSX.Element {
  const { camera, day, onChoose, onClose } = props;
  const [days, setDays] = useState<ReadonlyMap<string, string>>(new Map());
  const load = (first: string, after: string) => {
    const path = withQuery("api/recordings/days", { stream: camera, from: dayBegin(first), to: dayBegin(after), timezone: ZONE });
    call<{ days: { day: string; bytes: number }[] }>(path)
      .then((found) => setDays(new Map(found.days.map((one) => [one.day, bytes(one.bytes)]))))
      .catch(() => setDays(new Map()));
  };
  return (
    <Dialog title={t("day")} onClose={onClose}>
      <Calendar value={day} days={days} onMonth={load} onChoose={onChoose} />
    </Dialog>
  );
}
