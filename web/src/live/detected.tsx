/** What is in the frame that is shown, as a table. */

import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import { colourOf, isSure } from "../../../static/viewer/detections.js";
import { Card } from "../parts";
import { number, percent } from "../words";
import { t } from "../words/live";
import { nameOf } from "../video/labels";
import type { Detection, FrameInfo } from "../video/wire";

const MOST = 12; // so that the events below them are seen

export function Detected({ frame }: { frame: FrameInfo | null }): JSX.Element {
  const since = useRef(new Map<number, number>());
  const rows = (frame?.detections ?? []).filter(isSure);
  if (frame) remember(since.current, rows, frame.ts);
  return (
    <Card title={t("detected")}>
      {rows.length === 0 ? (
        <p class="hint">{t("nothing")}</p>
      ) : (
        <table class="table detected">
          <caption class="unseen">{t("detected")}</caption>
          <thead>
            <tr>
              <th scope="col">{t("object")}</th>
              <th scope="col" class="numeric">{t("confidence")}</th>
              <th scope="col" class="numeric">{t("track")}</th>
              <th scope="col" class="numeric">{t("since")}</th>
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, MOST).map((row, index) => (
              <tr key={row.track_id ?? `row-${index}`}>
                <td><Label label={row.label} /></td>
                <td class="numeric">{percent(row.confidence)}</td>
                <td class="numeric">{row.track_id === null ? "" : `#${row.track_id}`}</td>
                <td class="numeric">{lasting(row, since.current, frame!.ts)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {rows.length > MOST && <p class="hint">{t("more_rows", { n: rows.length - MOST })}</p>}
    </Card>
  );
}

function Label({ label }: { label: string }): JSX.Element {
  return (
    <span class="label-mark">
      <svg width="10" height="10" aria-hidden="true"><rect width="10" height="10" rx="2" fill={colourOf(label)} /></svg>
      {nameOf(label)}
    </span>
  );
}

/** Note when each track was first seen; forget those that are gone. */
function remember(since: Map<number, number>, rows: Detection[], now: number): void {
  const tracks = new Set(rows.map(({ track_id: track }) => track));
  for (const track of since.keys()) if (!tracks.has(track)) since.delete(track);
  for (const track of tracks) if (track !== null && !since.has(track)) since.set(track, now);
}

function lasting({ track_id: track }: Detection, since: Map<number, number>, now: number): string {
  const first = track === null ? undefined : since.get(track);
  return first === undefined ? "" : t("seconds", { n: number(Math.max(0, now - first)) });
}
