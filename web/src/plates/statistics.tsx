/** How many plates were read, when, where, and how often people had to correct them. */

import type { JSX } from "preact";
import { useCameras } from "../api/cameras";
import { usePolled } from "../api/polling";
import { Bars, Card, ColumnChart, Empty, PlateIcon, Problem, Spinner } from "../parts";
import { language, number, percent } from "../words";
import { t } from "../words/plates";
import type { Activity, Statistics } from "./api";

const EVERY_MS = 30_000;
const DAYS = 30;
const DAY_MS = 86_400_000;

export function StatisticsTab(): JSX.Element {
  const { data: counts, problem, refresh } = usePolled<Statistics>("api/statistics", EVERY_MS);
  const { data: activity } = usePolled<Activity>("api/statistics/activity", EVERY_MS);
  if (!counts || !activity) return problem ? <Problem text={problem} onRetry={refresh} /> : <Spinner />;
  if (counts.total_plates === 0) return <Empty icon={PlateIcon} title={t("none_yet")}>{t("none_yet_text")}</Empty>;
  return (
    <div class="plates-statistics">
      <Card title={t("counts")}>
        <Counts counts={counts} activity={activity} />
      </Card>
      <Card title={t("per_day")}>
        <ColumnChart label={t("per_day")} columns={perDay(activity)} every={5} />
      </Card>
      <Card title={t("per_hour")}>
        <ColumnChart label={t("per_hour")} columns={perHour(activity)} every={6} />
      </Card>
      <Card title={t("by_source")}>
        <BySource activity={activity} total={counts.total_plates} />
      </Card>
    </div>
  );
}

function Counts({ counts, activity }: { counts: Statistics; activity: Activity }): JSX.Element {
  const facts: [string, string][] = [
    [t("read"), number(counts.total_plates)],
    [t("photos"), number(counts.total_sessions)],
    [t("verified"), number(counts.verified_plates)],
    [t("unreadable"), number(counts.unrecognized_plates)],
    [t("confidence"), percent(counts.avg_confidence)],
    [t("corrected"), activity.correction_rate === null ? "–" : t("corrected_of", { n: activity.corrected, share: percent(activity.correction_rate) })],
  ];
  return (
    <dl class="plate-counts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function BySource({ activity, total }: { activity: Activity; total: number }): JSX.Element {
  const { data: cameras = [] } = useCameras();
  const nameOf = (source: string) =>
    source === "upload" ? t("source.upload") : (cameras.find((one) => one.camera_id === source)?.name ?? source);
  const readers = Object.entries(activity.by_reader);
  return (
    <>
      <Bars label={t("by_source")} most={total} rows={rowsOf(Object.entries(activity.by_source), nameOf)} />
      <h3>{t("by_reader")}</h3>
      <Bars label={t("by_reader")} most={total} rows={rowsOf(readers, (reader) => t.or(`reader.${reader}`, reader))} />
    </>
  );
}

function rowsOf(counts: [string, number][], nameOf: (key: string) => string) {
  const sorted = counts.sort(([, a], [, b]) => b - a).slice(0, 12);
  return sorted.map(([key, count]) => ({ name: nameOf(key), value: count, text: number(count) }));
}

function perDay({ per_day: counts }: Activity) {
  const short = new Intl.DateTimeFormat(language.get(), { day: "numeric", month: "numeric", timeZone: "UTC" });
  const today = Date.now();
  return Array.from({ length: DAYS }, (_, index) => {
    const day = new Date(today - (DAYS - 1 - index) * DAY_MS);
    return { name: short.format(day), value: counts[day.toISOString().slice(0, 10)] ?? 0 };
  });
}

function perHour({ per_hour: counts }: Activity) {
  return Array.from({ length: 24 }, (_, hour) => {
    const name = String(hour).padStart(2, "0");
    return { name, value: counts[name] ?? 0 };
  });
}
