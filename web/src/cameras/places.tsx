/** Zones, masks and lines of a camera: drawn on its picture, each seen at work at once. */

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { useLiveEvents } from "../api/events";
import { useAction, usePolled } from "../api/polling";
import { AddIcon, Button, Card, DeleteIcon, IconButton, Problem, toast } from "../parts";
import { t as common } from "../words/common";
import { t } from "../words/places";
import { changed, fingerprint, LEAST_POINTS, MOST_POINTS, type PlaceRef, removed, same } from "./geometry";
import { type CameraDetail, type CameraStats, COLORS, type Line, type Places, type Point, type Settings, type Zone } from "./model";
import { PlaceForm } from "./place_form";
import { isCounted, occupiedBy, PlaceCount } from "./place_counts";
import { Stage } from "./stage";

const LIT_MS = 1500;
type Tool = "count" | "ignore" | "line";
const MIDDLE: Record<Tool, Point[]> = {
  count: [[0.3, 0.4], [0.7, 0.4], [0.7, 0.8], [0.3, 0.8]],
  ignore: [[0.1, 0.1], [0.3, 0.1], [0.3, 0.25], [0.1, 0.25]],
  line: [[0.25, 0.6], [0.75, 0.6]],
};

export function PlacesTab({ camera, editable, onSave }: {
  camera: CameraDetail;
  editable: boolean;
  onSave: (changes: Partial<Settings>) => Promise<unknown>;
}): JSX.Element {
  const stored: Places = { zones: camera.zones, lines: camera.lines };
  const [places, setPlaces] = useState(stored);
  const [selected, setSelected] = useState<PlaceRef | null>(null);
  const [tool, setTool] = useState<Tool | null>(null);
  const [drawn, setDrawn] = useState<Point[]>([]);
  const newest = useRef<Point[]>([]);
  const [version, setVersion] = useState(0);
  const { busy, problem, run } = useAction();
  const { data: stats } = usePolled<CameraStats>(`camera/${encodeURIComponent(camera.camera_id)}/stats`, 1000);
  const crossed = useCrossed(camera.camera_id);
  const dirty = fingerprint(places) !== fingerprint(stored);
  const counts = dirty ? undefined : stats?.places;
  const needsCounting = places.lines.length > 0 || places.zones.some(isCounted);
  const turnsOn = needsCounting && !("objects" in camera.analytics);
  useEffect(() => setPlaces(stored), [fingerprint(stored)]);

  const add = (points: Point[], kind: Tool) => {
    const color = COLORS[(places.zones.length + places.lines.length) % COLORS.length]!;
    if (kind === "line") {
      const name = t("line_n", { n: places.lines.length + 1 });
      const line: Line = { name, points: points.slice(0, 2) as [Point, Point], sides: ["A", "B"], direction: "both", color };
      setPlaces({ ...places, lines: [...places.lines, line] });
      setSelected({ type: "line", index: places.lines.length });
    } else {
      const name = t(kind === "ignore" ? "mask_n" : "zone_n", { n: places.zones.length + 1 });
      const zone: Zone = { kind, name, points, color: kind === "ignore" ? "#6b7781" : color };
      setPlaces({ ...places, zones: [...places.zones, zone] });
      setSelected({ type: "zone", index: places.zones.length });
    }
    setTool(null);
    newest.current = [];
    setDrawn([]);
  };
  // Clicks can follow each other faster than the page is rendered, hence the reference.
  const draw = (points: Point[]) => {
    newest.current = points;
    setDrawn(points);
  };
  const finish = () => {
    if (tool && newest.current.length >= (tool === "line" ? 2 : LEAST_POINTS)) add(newest.current, tool);
  };
  const onPoint = (point: Point, meets: (other: Point | undefined) => boolean) => {
    const points = newest.current;
    if (points.length >= LEAST_POINTS && meets(points[0])) finish();
    else if (!meets(points.at(-1))) {
      draw([...points, point]);
      if (points.length + 1 === (tool === "line" ? 2 : MOST_POINTS)) finish();
    }
  };
  const choose = (next: Tool) => {
    setTool(tool === next ? null : next);
    draw([]);
    setSelected(null);
  };
  useDrawingKeys(tool !== null, finish, () => {
    setTool(null);
    draw([]);
  });

  const save = async () => {
    const analytics = turnsOn && { analytics: { ...camera.analytics, objects: {} } };
    if (!(await run(() => onSave({ ...places, ...analytics })))) return;
    toast(common("saved"));
    setVersion(version + 1); // the picture ended with the run before
  };

  return (
    <div class="places">
      <div class="places-stage">
        <Stage
          picture={`camera/${encodeURIComponent(camera.camera_id)}/mjpeg?v=${version}.${camera.state}`}
          places={places}
          selected={editable ? selected : null}
          occupied={(ref) => occupiedBy(counts, places, ref) || (ref.type === "line" && places.lines[ref.index]?.name === crossed)}
          drawing={tool && drawn}
          onSelect={setSelected}
          onChange={editable ? setPlaces : () => {}}
          onPoint={onPoint}
          onFinish={finish}
        />
        {tool && (
          <div class="notice" role="status">
            <span>{t(tool === "line" ? "draw_line" : "draw_zone")}</span>
            <Button small onClick={() => add(MIDDLE[tool], tool)}>{t("in_the_middle")}</Button>
          </div>
        )}
      </div>
      <div class="places-side">
        {editable && (
          <div class="places-tools" role="toolbar" aria-label={t("draw")}>
            <Button icon={AddIcon} pressed={tool === "count"} onClick={() => choose("count")}>{t("zone")}</Button>
            <Button icon={AddIcon} pressed={tool === "ignore"} onClick={() => choose("ignore")}>{t("mask")}</Button>
            <Button icon={AddIcon} pressed={tool === "line"} onClick={() => choose("line")}>{t("line")}</Button>
          </div>
        )}
        <PlaceList
          places={places}
          selected={selected}
          onSelect={setSelected}
          onRemove={editable ? (ref) => {
            setPlaces(removed(places, ref));
            setSelected(null);
          } : undefined}
          count={(ref) => <PlaceCount counts={counts} of={ref} places={places} />}
        />
        {editable && selected && (
          <PlaceForm places={places} of={selected} rules={Object.keys(camera.analytics)} onChange={(change) => setPlaces(changed(places, selected, change))} />
        )}
        {turnsOn && <p class="hint">{t("needs_objects")}</p>}
        {problem && <Problem text={problem} />}
        {editable && (
          <div class="places-save">
            <Button kind="primary" busy={busy} disabled={!dirty} onClick={save}>{common("save")}</Button>
            <Button kind="quiet" disabled={!dirty || busy} onClick={() => {
              setPlaces(stored);
              setSelected(null);
            }}>{t("discard")}</Button>
            <span class="hint">{t(dirty ? "unsaved" : "live")}</span>
          </div>
        )}
      </div>
    </div>
  );
}

function PlaceList({ places, selected, onSelect, onRemove, count }: {
  places: Places;
  selected: PlaceRef | null;
  onSelect: (ref: PlaceRef) => void;
  onRemove?: (ref: PlaceRef) => void;
  count: (ref: PlaceRef) => JSX.Element | null;
}): JSX.Element {
  const rows: { ref: PlaceRef; place: Zone | Line; kind: string }[] = [
    ...places.zones.map((place, index) => ({ ref: { type: "zone" as const, index }, place, kind: t(`kind.${place.kind}`) })),
    ...places.lines.map((place, index) => ({ ref: { type: "line" as const, index }, place, kind: t("line") })),
  ];
  if (rows.length === 0) return <p class="quiet-text">{t("none")}</p>;
  return (
    <Card class="places-list">
      <ul class="rows">
        {rows.map(({ ref, place, kind }) => (
          <li key={`${ref.type}-${ref.index}`}>
            <button type="button" class="places-name" aria-pressed={same(selected, ref)} onClick={() => onSelect(ref)}>
              <svg class="places-color" width="12" height="12" aria-hidden="true">
                <rect width="12" height="12" rx="3" fill={place.color ?? "#ff8800"} />
              </svg>
              <span>
                {place.name || kind}
                <span class="hint"> {kind}</span>
              </span>
            </button>
            {count(ref)}
            {onRemove && <IconButton icon={DeleteIcon} label={`${common("delete")}: ${place.name || kind}`} onClick={() => onRemove(ref)} />}
          </li>
        ))}
      </ul>
    </Card>
  );
}

/** The name of the line of a camera that was just crossed. */
function useCrossed(cameraId: string): string | null {
  const [name, setName] = useState<string | null>(null);
  useLiveEvents((message) => {
    if (message.type !== "event" || message.event !== "line_crossed" || message.camera_id !== cameraId) return;
    setName(String(message.details.line));
  });
  useEffect(() => {
    if (name === null) return;
    const timer = setTimeout(() => setName(null), LIT_MS);
    return () => clearTimeout(timer);
  }, [name]);
  return name;
}

/** Enter finishes what is drawn, Esc cancels it. */
function useDrawingKeys(active: boolean, finish: () => void, cancel: () => void): void {
  useEffect(() => {
    if (!active) return;
    const onKeyDown = (event: KeyboardEvent) => {
      const typing = event.target instanceof HTMLElement && event.target.closest("button, input, select");
      if (event.key === "Enter" && !typing) finish();
      else if (event.key === "Escape") cancel();
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  });
}
