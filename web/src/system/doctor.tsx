/** What the doctor says: checks of the machine, and how many cameras it can process. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { call, withQuery } from "../api/client";
import { useAction, usePolled } from "../api/polling";
import { Bars, Button, Card, Problem, Spinner, StateMark, type Tone } from "../parts";
import { number } from "../words";
import { t } from "../words/system";
import { DOCTOR, type DoctorReport } from "./api";

const MEASURE_MS = 180_000;
const TONES: Record<string, Tone> = { ok: "good", warning: "warn", problem: "bad" };
const PARTS = ["decode", "resize", "faces", "blur", "encode", "whole_face", "objects", "crop"] as const;

export function Doctor(): JSX.Element {
  const { data: checked, problem, refresh } = usePolled<DoctorReport>(withQuery(DOCTOR, { measure: false }), Infinity);
  const [measured, setMeasured] = useState<DoctorReport | null>(null);
  const measuring = useAction();
  const report = measured ?? checked;
  if (!report) return problem ? <Problem text={problem} onRetry={refresh} /> : <Spinner label={t("checking")} />;
  const measure = () => measuring.run(async () => setMeasured(await call<DoctorReport>(DOCTOR, { patienceMs: MEASURE_MS })));
  return (
    <>
      {measuring.problem && <Problem text={measuring.problem} />}
      <div class="system-grid">
        <Card title={t("checks")}>
          <ul class="system-findings">
            {report.findings.map((one) => (
              <li key={`${one.name} ${one.text}`}>
                <StateMark state={TONES[one.status] ?? "idle"} label={t.or(`check.${one.name}`, one.name)} />
                <p>{one.text}</p>
                {one.advice && <p class="hint">{one.advice}</p>}
              </li>
            ))}
          </ul>
        </Card>
        <Card
          title={t("capacity")}
          actions={<Button busy={measuring.busy} onClick={measure}>{t(report.costs ? "measure_again" : "measure")}</Button>}
        >
          {report.costs ? <Measured report={report} costs={report.costs} /> : <p class="quiet-text">{t(measuring.busy ? "measuring_text" : "measure_text")}</p>}
        </Card>
      </div>
    </>
  );
}

function Measured({ report, costs }: { report: DoctorReport; costs: Record<string, number | string> }): JSX.Element {
  const values = PARTS.map((part) => ({ part, ms: Number(costs[part] ?? 0) }));
  return (
    <>
      <ul class="rows">
        {report.cameras.map((one) => (
          <li key={one.load}>
            <span>{one.load}</span>
            <strong>{number(one.cameras, one.cameras < 10 ? 1 : 0)}</strong>
          </li>
        ))}
      </ul>
      <h3>{t("costs")}</h3>
      <Bars
        label={t("costs")}
        most={Math.max(...values.map(({ ms }) => ms))}
        rows={values.map(({ part, ms }) => ({ name: t(`cost.${part}`), value: ms, text: t("ms", { ms: number(ms, 1) }) }))}
      />
      {report.suggestions.length > 0 && (
        <>
          <h3>{t("would_help")}</h3>
          <ul class="rows">
            {report.suggestions.map((one) => (
              <li key={one.text}>
                <span>{one.text}</span>
                <span class="quiet-text">{t("n_cameras", { cameras: number(one.cameras, 1) })}</span>
              </li>
            ))}
          </ul>
        </>
      )}
    </>
  );
}
