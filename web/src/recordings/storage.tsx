/** Disk space: what takes it, how much is left, and what goes next. */

import type { JSX } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { useCameraName } from "../api/cameras";
import { usePolled } from "../api/polling";
import { Card, FlagIcon, Problem, Spinner, Table } from "../parts";
import { bytes, dateTime, number, percent } from "../words";
import { t } from "../words/recordings";

type Kind = "continuous" | "clip" | "job" | "event" | "plate";

interface NextUp {
  kind: Kind;
  stream_id: string | null;
  ts: number;
  bytes: number;
  flagged: boolean;
  removed_by_age_ts: number | null;
}

interface Storage {
  size: number;
  free: number;
  must_stay_free: number;
  used: number;
  limit: number | null;
  kinds: { kind: Kind; bytes: number }[];
  next_up: NextUp[];
}

const EVERY_MS = 30_000;

export function StorageView(): JSX.Element {
  const { data, problem, refresh } = usePolled<Storage>("api/storage", EVERY_MS);
  const nameOf = useCameraName();
  if (!data) return problem ? <Problem text={problem} onRetry={() => void refresh()} /> : <Spinner />;
  const other = Math.max(0, data.size - data.free - data.used);
  const parts = [...data.kinds, { kind: "other" as const, bytes: other }];
  const low = data.free < data.must_stay_free;
  return (
    <>
      <Card title={t("disk")}>
        <p class="storage-left">
          {t("free", { n: bytes(data.free), of: bytes(data.size) })}
          <span class="hint">{t("must_stay_free", { n: bytes(data.must_stay_free) })}</span>
          {data.limit !== null && <span class="hint">{t("limit", { n: bytes(data.limit) })}</span>}
        </p>
        {low && <div class="notice bad">{t("low")}</div>}
        <div class="storage-bar" aria-hidden="true">
          {parts.map(({ kind, bytes: size }) => (
            <Part key={kind} kind={kind} share={size / data.size} />
          ))}
        </div>
        <dl class="storage-kinds">
          {parts.map(({ kind, bytes: size }) => (
            <div key={kind}>
              <dt data-kind={kind}>{t(`kind.${kind}`)}</dt>
              <dd>
                {bytes(size)} <span class="hint">{percent(size / data.size)}</span>
              </dd>
            </div>
          ))}
        </dl>
      </Card>
      <Card title={t("next_up")}>
        <p class="hint">{t("next_up_text")}</p>
        <Table<NextUp & { place: number }>
          label={t("next_up")}
          rows={data.next_up.map((one, place) => ({ ...one, place: place + 1 }))}
          keyOf={({ place }) => place}
          empty={<p class="hint">{t("nothing_stored")}</p>}
          columns={[
            { name: "place", title: "#", cell: ({ place }) => number(place), numeric: true, wide: true },
            {
              name: "kind",
              title: t("what"),
              cell: ({ kind, flagged }) => (
                <span class="storage-what">
                  {t(`kind.${kind}`)} {flagged && <FlagIcon />}
                </span>
              ),
            },
            { name: "camera", title: t("camera"), cell: ({ stream_id: id }) => (id ? nameOf(id) : "–"), wide: true },
            { name: "from", title: t("from_time"), cell: ({ ts }) => dateTime(ts) },
            { name: "size", title: t("size"), cell: ({ bytes: size }) => bytes(size), numeric: true },
            {
              name: "age",
              title: t("by_age"),
              cell: ({ removed_by_age_ts: ts }) => (ts === null ? t("never") : dateTime(ts)),
              wide: true,
            },
          ]}
        />
      </Card>
    </>
  );
}

function Part({ kind, share }: { kind: string; share: number }): JSX.Element {
  const part = useRef<HTMLSpanElement>(null);
  useLayoutEffect(() => {
    part.current!.style.width = `${100 * share}%`;
  }, [share]);
  return <span ref={part} data-kind={kind} />;
}
