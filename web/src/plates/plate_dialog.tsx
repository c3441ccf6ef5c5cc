/** One reading: the photo it is from, how sure it is, and where the number was seen before. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { useCameras } from "../api/cameras";
import { at, call, withQuery } from "../api/client";
import { refresh, useAction, usePolled } from "../api/polling";
import { Bars, Button, Confirm, Dialog, Problem, Spinner } from "../parts";
import { go, link } from "../shell/router";
import { dateTime, percent } from "../words";
import { t as common } from "../words/common";
import { t } from "../words/plates";
import { PLATES, SEARCH, cropPath, photoPath, secondsOf, type Plate, type PlateDetails } from "./api";
import { PlateRow } from "./plate_row";
import { WatchForm } from "./watchlist";

const MOST_SEEN = 30;

interface PlateDialogProps {
  id: number;
  tab: string;
  onClose: () => void;
}

export function PlateDialog({ id, tab, onClose }: PlateDialogProps): JSX.Element {
  const path = `${PLATES}/${id}/details`;
  const { data: plate, problem } = usePolled<PlateDetails>(path, Infinity);
  const [open, setOpen] = useState<"delete" | "erase" | "watch" | null>(null);
  const { busy, problem: refused, run, clear } = useAction();
  const close = () => {
    clear();
    setOpen(null);
  };
  const remove = async (what: "delete" | "erase") => {
    if (await run(() => call(what === "delete" ? `${PLATES}/${id}` : `${PLATES}/${id}/data`, { method: "DELETE" }))) {
      refresh(PLATES);
      close();
      if (what === "delete") onClose();
    }
  };
  return (
    <Dialog
      title={plate?.plate_number || t("unread")}
      size="large"
      onClose={onClose}
      actions={
        plate && (
          <>
            <Button kind="quiet" onClick={() => setOpen("erase")}>{t("erase")}</Button>
            <Button kind="quiet" onClick={() => setOpen("delete")}>{common("delete")}</Button>
            {plate.plate_number && <Button onClick={() => setOpen("watch")}>{t("watch")}</Button>}
          </>
        )
      }
    >
      {problem && <Problem text={problem} />}
      {!plate && !problem && <Spinner />}
      {plate && <Details plate={plate} tab={tab} onChange={() => refresh(PLATES)} />}
      {plate && open === "watch" && <WatchForm number={plate.plate_number} onClose={close} />}
      {(open === "delete" || open === "erase") && (
        <Confirm
          title={t(`${open}_title`)}
          confirm={open === "erase" ? t("erase") : common("delete")}
          danger
          busy={busy}
          problem={refused}
          onConfirm={() => remove(open)}
          onClose={close}
        >
          <p>{t(`${open}_text`)}</p>
        </Confirm>
      )}
    </Dialog>
  );
}

function Details({ plate, tab, onChange }: { plate: PlateDetails; tab: string; onChange: () => void }): JSX.Element {
  const { data: cameras = [] } = useCameras();
  const source = plate.source === "upload" ? t("source.upload") : (cameras.find((one) => one.camera_id === plate.source)?.name ?? plate.source);
  const votes = Object.entries(plate.votes ?? {}).sort(([, a], [, b]) => b - a).slice(0, 5);
  return (
    <div class="plate-details">
      <div class="plate-pictures">
        {plate.detection_id !== null && <Photo session={plate.detection_id} plate={plate} />}
      </div>
      <div class="plate-about">
        <ul class="plate-rows">
          <PlateRow plate={plate} href={at(cropPath(plate.id)).href} onChange={onChange} />
        </ul>
        <dl class="facts">
          <dt>{t("time")}</dt>
          <dd>{dateTime(secondsOf(plate))}</dd>
          <dt>{t("source")}</dt>
          <dd>{source}</dd>
          <dt>{t("confidence")}</dt>
          <dd>{percent(plate.confidence)}</dd>
          {plate.country && <><dt>{t("country")}</dt><dd>{plate.country}</dd></>}
          <dt>{t("read_by")}</dt>
          <dd>{t.or(`reader.${plate.processed_by}`, plate.processed_by)}</dd>
          {plate.first_reading !== null && plate.first_reading !== plate.plate_number && (
            <><dt>{t("first_reading")}</dt><dd class="code">{plate.first_reading || t("unread")}</dd></>
          )}
        </dl>
        {votes.length > 1 && (
          <>
            <h3>{t("votes")}</h3>
            <Bars label={t("votes")} most={1} rows={votes.map(([name, share]) => ({ name, value: share, text: percent(share) }))} />
          </>
        )}
        {plate.plate_number && <History plate={plate} tab={tab} />}
      </div>
    </div>
  );
}

/** The whole photo, with the plate marked. */
function Photo({ session, plate }: { session: number; plate: Plate }): JSX.Element {
  const [size, setSize] = useState<[number, number] | null>(null);
  const [gone, setGone] = useState(false);
  if (gone) return <p class="quiet-text">{t("photo_gone")}</p>;
  const { x_min: left, y_min: top, x_max: right, y_max: bottom } = plate.position;
  return (
    <a class="plate-photo" href={at(photoPath(session)).href} target="_blank" rel="noreferrer">
      <img
        src={at(photoPath(session)).href}
        alt={t("photo")}
        onLoad={({ currentTarget: { naturalWidth, naturalHeight } }) => setSize([naturalWidth, naturalHeight])}
        onError={() => setGone(true)}
      />
      {size && (
        <svg viewBox={`0 0 ${size[0]} ${size[1]}`} aria-hidden="true">
          <rect x={left} y={top} width={right - left} height={bottom - top} />
        </svg>
      )}
    </a>
  );
}

/** Where and when the same number, or one that looks like it, was read. */
function History({ plate, tab }: { plate: PlateDetails; tab: string }): JSX.Element {
  const { data: seen = [] } = usePolled<Plate[]>(withQuery(SEARCH, { query: plate.plate_number, limit: MOST_SEEN }), Infinity);
  const others = seen.filter((one) => one.id !== plate.id);
  return (
    <>
      <h3>{t("history")}</h3>
      {others.length === 0 ? (
        <p class="quiet-text">{t("never_before")}</p>
      ) : (
        <ul class="plate-history">
          {others.map((one) => (
            <li key={one.id}>
              <button type="button" onClick={() => go(link("plates", tab, `${one.id}`), { replace: true })}>
                <img src={at(cropPath(one.id)).href} alt="" loading="lazy" />
                <span class="code">{one.plate_number}</span>
                <span class="quiet-text">{dateTime(secondsOf(one))}</span>
              </button>
            </li>
          ))}
        </ul>
      )}
    </>
  );
}
