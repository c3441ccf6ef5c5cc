/** The readings: search, filter, check, export. */

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { useCameras } from "../api/cameras";
import { at, withQuery } from "../api/client";
import { useLiveEvents } from "../api/events";
import { usePolled } from "../api/polling";
import { useRights } from "../api/session";
import { Button, ButtonLink, DownloadIcon, Empty, PlateIcon, Problem, Segments, SelectField, Spinner, TextField } from "../parts";
import { go, link } from "../shell/router";
import { t as common } from "../words/common";
import { t } from "../words/plates";
import { PLATES, SEARCH, type Plate } from "./api";
import { PlateRow } from "./plate_row";

const PAGE = 50;
const MOST = 1000;
const PAUSE_MS = 300;
const SHOWN = ["all", "unverified", "verified"] as const;
const PLATE_EVENTS = ["plate_seen", "plate_match"];

export function Readings({ query }: { query: URLSearchParams }): JSX.Element {
  const [limit, setLimit] = useState(PAGE);
  const [fresh, setFresh] = useState(0);
  const may = useRights();
  const text = query.get("q") ?? "";
  const shown = SHOWN.find((one) => one === query.get("show")) ?? "all";
  const filter = {
    source: query.get("source"),
    verified: shown === "all" ? null : shown === "verified",
    from: dayStart(query.get("from"), 0),
    to: dayStart(query.get("to"), 1),
  };
  const path = text ? withQuery(SEARCH, { query: text, limit }) : withQuery(PLATES, { ...filter, limit });
  const { data: plates, problem, refresh } = usePolled<Plate[]>(path, Infinity);
  useLiveEvents((message) => {
    if (message.type === "event" && PLATE_EVENTS.includes(message.event)) setFresh((n) => n + 1);
  });
  const load = async () => {
    setFresh(0);
    await refresh();
  };
  return (
    <>
      <Filter query={query} onChange={() => setLimit(PAGE)}>
        {may("export") && (
          <ButtonLink href={at(withQuery(`${PLATES}/export.csv`, { ...filter, plate_number: text })).href} icon={DownloadIcon} download>
            CSV
          </ButtonLink>
        )}
      </Filter>
      {problem && <Problem text={problem} onRetry={refresh} />}
      {fresh > 0 && !text && (
        <div class="notice" role="status">
          <span>{t("fresh", { n: fresh })}</span>
          <Button small onClick={load}>{t("show")}</Button>
        </div>
      )}
      {plates ? <Rows key={path} plates={plates} query={query} filtered={text !== "" || query.size > 0} /> : !problem && <Spinner />}
      {plates && plates.length === limit && limit < MOST && (
        <Button class="plates-more" onClick={() => setLimit(Math.min(MOST, limit + PAGE))}>{common("more")}</Button>
      )}
    </>
  );
}

interface RowsProps {
  plates: Plate[];
  query: URLSearchParams;
  /** Whether something was searched or chosen. */
  filtered: boolean;
}

function Rows({ plates, query, filtered }: RowsProps): JSX.Element {
  const [changed, setChanged] = useState<ReadonlyMap<number, Plate>>(new Map());
  if (plates.length === 0) {
    const actions = filtered ? undefined : <ButtonLink href={link("plates", "upload")} kind="primary">{t("tab.upload")}</ButtonLink>;
    return (
      <Empty icon={PlateIcon} title={t(filtered ? "none_found" : "none_yet")} actions={actions}>
        {!filtered && t("none_yet_text")}
      </Empty>
    );
  }
  return (
    <>
      <p class="hint plates-keys">{t("keys")}</p>
      <ul class="plate-rows">
        {plates.map((plate) => (
          <PlateRow
            key={plate.id}
            plate={changed.get(plate.id) ?? plate}
            href={link("plates", "readings", `${plate.id}`, Object.fromEntries(query))}
            onChange={(next) => setChanged((known) => new Map(known).set(next.id, next))}
          />
        ))}
      </ul>
    </>
  );
}

interface FilterProps {
  query: URLSearchParams;
  onChange: () => void;
  children: JSX.Element | false;
}

function Filter({ query, onChange, children }: FilterProps): JSX.Element {
  const { data: cameras = [] } = useCameras();
  const [text, setText] = useState(query.get("q") ?? "");
  const show = (changes: Record<string, string | undefined>) => {
    onChange();
    go(link("plates", "readings", { ...Object.fromEntries(query), ...changes }), { replace: true });
  };
  useEffect(() => {
    if (text.trim() === (query.get("q") ?? "")) return;
    const timer = setTimeout(() => show({ q: text.trim() || undefined }), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [text]);
  const sources = [
    { value: "", label: t("all_sources") },
    { value: "upload", label: t("source.upload") },
    ...cameras.map((one) => ({ value: one.camera_id, label: one.name })),
  ];
  return (
    <div class="plates-filter" role="search">
      <TextField label={t("search")} labelHidden placeholder={t("search")} type="search" value={text} onInput={setText} maxLength={64} literal />
      {!query.get("q") && (
        <>
          <Segments
            label={t("shown")}
            value={SHOWN.find((one) => one === query.get("show")) ?? "all"}
            options={SHOWN.map((value) => ({ value, label: t(`show.${value}`) }))}
            onChange={(value) => show({ show: value === "all" ? undefined : value })}
          />
          <SelectField label={t("source")} labelHidden value={query.get("source") ?? ""} options={sources} onChange={(value) => show({ source: value || undefined })} />
          <span class="plates-dates">
            <TextField label={t("from")} labelHidden type="date" value={query.get("from") ?? ""} onInput={(value) => show({ from: value || undefined })} />
            <span aria-hidden="true">–</span>
            <TextField label={t("to")} labelHidden type="date" value={query.get("to") ?? ""} onInput={(value) => show({ to: value || undefined })} />
          </span>
        </>
      )}
      {children}
    </div>
  );
}

/** The Unix time at which a day of this browser's calendar begins, `later` days after the one named. */
function dayStart(text: string | null, later: number): number | null {
  if (!text) return null;
  const day = new Date(`${text}T00:00`);
  day.setDate(day.getDate() + later);
  return Number.isNaN(day.getTime()) ? null : day.getTime() / 1000;
}
