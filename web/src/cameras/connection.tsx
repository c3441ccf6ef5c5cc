/** What a test of a connection found: the picture with faces covered, or what is wrong. */

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { call } from "../api/client";
import { useAction } from "../api/polling";
import { Button, Problem } from "../parts";
import { number } from "../words";
import { t } from "../words/cameras";
import type { ConnectionReport } from "./model";

const PATIENCE_MS = 45_000;

export interface ConnectionRequest {
  source?: string | number;
  camera_id?: string;
  user?: string;
  password?: string;
  transport?: "tcp" | "udp";
  rotate?: number;
}

/** A button that tries a source, and below it what came of it. */
export function ConnectionTest({ request, disabled, onReport }: {
  request: ConnectionRequest;
  disabled?: boolean;
  onReport?: (report: ConnectionReport) => void;
}): JSX.Element {
  const [report, setReport] = useState<ConnectionReport | null>(null);
  const { busy, problem, run } = useAction();
  const asked = JSON.stringify(request);
  useEffect(() => setReport(null), [asked]);
  const test = () =>
    run(async () => {
      const found = await call<ConnectionReport>("api/cameras/test", { body: request, patienceMs: PATIENCE_MS });
      setReport(found);
      onReport?.(found);
    });
  return (
    <div class="camera-test">
      <Button busy={busy} disabled={disabled} onClick={test}>{t("test")}</Button>
      <div role="status" class="camera-test-report">
        {busy && <p class="hint">{t("testing")}</p>}
        {!busy && problem && <Problem text={problem} />}
        {!busy && report && <Report report={report} />}
      </div>
    </div>
  );
}

function Report({ report }: { report: ConnectionReport }): JSX.Element {
  if (!report.ok) {
    return (
      <div class="notice bad">
        <div>
          <p>{report.error?.message}</p>
          {report.advice && <p class="camera-test-advice">{report.advice}</p>}
        </div>
      </div>
    );
  }
  return (
    <>
      {report.jpeg ? <Picture jpeg={report.jpeg} /> : (
        <p class="notice warn">{t("withheld", { reason: report.withheld ?? "" })}</p>
      )}
      <dl class="facts">
        <dt>{t("codec")}</dt>
        <dd>{report.codec ?? "–"}</dd>
        {report.width && report.height && (
          <>
            <dt>{t("size")}</dt>
            <dd>{report.width} × {report.height}</dd>
          </>
        )}
        <dt>{t("rate")}</dt>
        <dd>{report.fps === null ? "–" : t("fps", { fps: number(report.fps, 1) })}</dd>
        <dt>{t("sound")}</dt>
        <dd>{report.sound ?? t("no_sound")}</dd>
        <dt>{t("connected_in")}</dt>
        <dd>{t("seconds", { s: number(report.seconds ?? 0, 1) })}</dd>
      </dl>
    </>
  );
}

/** A JPEG in Base64; the page's policy allows no data: addresses. */
function Picture({ jpeg }: { jpeg: string }): JSX.Element | null {
  const [url, setUrl] = useState<string | null>(null);
  useEffect(() => {
    const bytes = Uint8Array.from(atob(jpeg), (char) => char.charCodeAt(0));
    const made = URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" }));
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [jpeg]);
  return url === null ? null : <img class="camera-test-picture" src={url} alt={t("test_picture")} />;
}
