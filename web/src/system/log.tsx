/** The last warnings and errors of the server. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { usePolled } from "../api/polling";
import { CheckIcon, Empty, Problem, Segments, Spinner, StateMark } from "../parts";
import { dateTime } from "../words";
import { t as common } from "../words/common";
import { t } from "../words/system";
import { LOG, type LoggedProblem } from "./api";

const EVERY_MS = 5000;

export function Log(): JSX.Element {
  const { data: rows, problem, refresh } = usePolled<LoggedProblem[]>(LOG, EVERY_MS);
  const [shown, setShown] = useState<"all" | "errors">("all");
  if (!rows) return problem ? <Problem text={problem} onRetry={refresh} /> : <Spinner />;
  const wanted = rows.filter(({ level }) => shown === "all" || level !== "warning");
  const options = [
    { value: "all" as const, label: common("all") },
    { value: "errors" as const, label: t("errors") },
  ];
  return (
    <>
      {problem && <Problem text={problem} onRetry={refresh} />}
      <Segments label={t("tab.log")} value={shown} options={options} onChange={setShown} />
      {wanted.length === 0 ? (
        <Empty icon={CheckIcon} title={t("no_problems")}>{t("no_problems_text")}</Empty>
      ) : (
        <ul class="system-log">
          {wanted.map((one) => (
            <li key={`${one.first_ts} ${one.source} ${one.text}`}>
              <StateMark state={one.level === "warning" ? "warn" : "bad"} label={t(`level.${one.level}`)} />
              <span class="quiet-text">
                {dateTime(one.last_ts)}
                {one.count > 1 && ` · ${t("times", { n: one.count, time: dateTime(one.first_ts) })}`}
                {" · "}
                <span class="code">{one.source}</span>
              </span>
              <p>{one.text}</p>
            </li>
          ))}
        </ul>
      )}
      <p class="hint">{t("log_hint")}</p>
    </>
  );
}
