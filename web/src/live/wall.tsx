/** All cameras beside each other. */

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { type Camera, useCameras } from "../api/cameras";
import { useRights } from "../api/session";
import {
  BackIcon,
  EditIcon,
  ForwardIcon,
  FullScreenIcon,
  IconButton,
  Problem,
  Segments,
  SelectField,
  Spinner,
  View,
} from "../parts";
import { link } from "../shell/router";
import { clock } from "../words";
import { t as common } from "../words/common";
import { t as shell } from "../words/shell";
import { t } from "../words/live";
import { type Alarms, titleOf, useAlarms, useNews } from "./alarms";
import { FirstVisit } from "./first_visit";
import { toggleFullScreen, useKeys } from "./keys";
import { LayoutDialog } from "./layout_dialog";
import { arranged, SIZES, type Size, useWallChoice, type WallChoice } from "./layouts";
import { Tile } from "./tile";

/** `opened`: the camera that was large before, to which the focus returns. */
export function Wall({ opened }: { opened?: string }): JSX.Element {
  const { data: cameras, problem, refresh } = useCameras();
  if (!cameras) {
    const content = problem ? <Problem text={problem} onRetry={refresh} /> : <Spinner />;
    return <View title={shell("nav.live")}>{content}</View>;
  }
  if (cameras.length === 0) return <FirstVisit />;
  return <Cameras cameras={cameras} problem={problem} opened={opened} />;
}

function Cameras(props: { cameras: Camera[]; problem?: string; opened?: string }): JSX.Element {
  const { cameras, problem, opened } = props;
  const [choice, change] = useWallChoice();
  const [page, setPage] = useState(0);
  const [editing, setEditing] = useState(false);
  const wall = useRef<HTMLDivElement>(null);
  const alarms = useAlarms();
  const news = useNews();
  const { size, cameras: wanted } = arranged(choice, cameras);
  const pages = Math.max(1, Math.ceil(wanted.length / size));
  const current = Math.min(page, pages - 1);
  const shown = wanted.slice(current * size, (current + 1) * size);
  const columns = Math.ceil(Math.sqrt(Math.min(size, Math.max(1, shown.length))));
  const stopped = choice.chosen === null ? cameras.filter(({ state }) => state === "stopped") : [];

  useFocusOn(opened, wall);
  useKeys({
    ...arrowKeys(wall, columns),
    f: () => toggleFullScreen(wall.current),
    PageDown: () => setPage(Math.min(pages - 1, current + 1)),
    PageUp: () => setPage(Math.max(0, current - 1)),
  });

  const actions = (
    <>
      <LayoutChoice choice={choice} change={change} onEdit={() => setEditing(true)} />
      {pages > 1 && <Pages page={current} pages={pages} onChange={setPage} />}
      {document.fullscreenEnabled && (
        <IconButton icon={FullScreenIcon} label={`${t("full_screen")} (F)`} onClick={() => toggleFullScreen(wall.current)} />
      )}
    </>
  );
  return (
    <View title={shell("nav.live")} actions={actions} class="live">
      {problem && <Problem text={problem} />}
      <AlarmsElsewhere alarms={alarms} cameras={cameras} shown={shown} />
      <div class="wall" ref={wall} data-columns={columns} data-many={size > 4 || undefined}>
        {shown.map((camera) => (
          <Tile key={camera.camera_id} camera={camera} alarm={alarms.get(camera.camera_id)} />
        ))}
      </div>
      {shown.length === 0 && <p class="hint">{t("none_running")}</p>}
      {stopped.length > 0 && <Stopped cameras={stopped} />}
      <p class="unseen" role="status">{news}</p>
      {editing && <LayoutDialog cameras={cameras} choice={choice} change={change} onClose={() => setEditing(false)} />}
    </View>
  );
}

/** Alarms of cameras that are not on this page of the wall. */
function AlarmsElsewhere(props: { alarms: Alarms; cameras: Camera[]; shown: Camera[] }): JSX.Element {
  const shown = new Set(props.shown.map(({ camera_id: id }) => id));
  const names = new Map(props.cameras.map(({ camera_id: id, name }) => [id, name]));
  const elsewhere = [...props.alarms.values()].filter(({ camera_id: id }) => names.has(id) && !shown.has(id));
  return (
    <>
      {elsewhere.map((alarm) => (
        <a key={alarm.camera_id} class="alarm-elsewhere" href={link("live", alarm.camera_id)}>
          <strong>{names.get(alarm.camera_id)}</strong> {titleOf(alarm)} <time>{clock(alarm.ts)}</time>
        </a>
      ))}
    </>
  );
}

function LayoutChoice(props: {
  choice: WallChoice;
  change: (changes: Partial<WallChoice>) => void;
  onEdit: () => void;
}): JSX.Element {
  const { choice, change, onEdit } = props;
  const own = choice.own.map(({ name }) => ({ value: `=${name}`, label: name }));
  const options = [{ value: "", label: t("all_cameras") }, ...own];
  return (
    <>
      {own.length > 0 && (
        <SelectField
          label={t("layout")}
          labelHidden
          value={choice.chosen === null ? "" : `=${choice.chosen}`}
          options={options}
          onChange={(value) => change({ chosen: value ? value.slice(1) : null })}
        />
      )}
      {choice.chosen === null && (
        <Segments
          label={t("size")}
          value={String(choice.size)}
          options={SIZES.map((size) => ({ value: String(size), label: String(size) }))}
          onChange={(size) => change({ size: Number(size) as Size })}
        />
      )}
      <IconButton icon={EditIcon} label={t("edit_layouts")} onClick={onEdit} />
    </>
  );
}

function Pages(props: { page: number; pages: number; onChange: (page: number) => void }): JSX.Element {
  const { page, pages, onChange } = props;
  return (
    <span class="pages">
      <IconButton icon={BackIcon} label={common("previous")} disabled={page === 0} onClick={() => onChange(page - 1)} />
      <span>{t("page", { page: page + 1, pages })}</span>
      <IconButton icon={ForwardIcon} label={common("next")} disabled={page === pages - 1} onClick={() => onChange(page + 1)} />
    </span>
  );
}

function Stopped({ cameras }: { cameras: Camera[] }): JSX.Element {
  const may = useRights();
  return (
    <section class="stopped">
      <h2>{t("stopped")}</h2>
      <ul>
        {cameras.map(({ camera_id: id, name }) => (
          <li key={id}>
            {may("control", id) ? <a href={link("cameras", id)}>{name}</a> : name}
          </li>
        ))}
      </ul>
    </section>
  );
}

function useFocusOn(camera: string | undefined, wall: { current: HTMLElement | null }): void {
  useEffect(() => {
    if (camera === undefined) return;
    const tiles = wall.current?.querySelectorAll<HTMLElement>(".tile") ?? [];
    [...tiles].find((tile) => tile.getAttribute("href") === link("live", camera))?.focus();
  }, []);
}

/** Arrow keys go from tile to tile. */
function arrowKeys(wall: { current: HTMLElement | null }, columns: number): Record<string, () => void> {
  const move = (step: number) => () => {
    const tiles = [...(wall.current?.querySelectorAll<HTMLElement>(".tile") ?? [])];
    const at = tiles.indexOf(document.activeElement as HTMLElement);
    const next = at < 0 ? 0 : at + step;
    tiles[next]?.focus();
  };
  return { ArrowRight: move(1), ArrowLeft: move(-1), ArrowDown: move(columns), ArrowUp: move(-columns) };
}
