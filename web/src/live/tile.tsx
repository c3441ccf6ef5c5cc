/** One camera on the wall. */

import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import type { Camera } from "../api/cameras";
import type { EventMessage } from "../api/events";
import { WarningIcon } from "../parts";
import { link } from "../shell/router";
import { clock } from "../words";
import { t as common } from "../words/common";
import { t } from "../words/live";
import { titleOf } from "./alarms";
import { countsInWords } from "../video/labels";
import { useSnapshots } from "./snapshots";

export function Tile({ camera, alarm }: { camera: Camera; alarm?: EventMessage }): JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null);
  const running = camera.state === "running";
  const shown = useSnapshots(canvas, camera.camera_id, running);
  const detected = running ? detectedIn(camera) : "";
  return (
    <a class="tile" href={link("live", camera.camera_id)} data-alarm={alarm ? "" : undefined} data-state={camera.state}>
      <canvas ref={canvas} class="tile-picture" width="16" height="9" aria-hidden="true" />
      {!running && <Trouble camera={camera} />}
      {running && !shown && <span class="tile-trouble"><span class="spinner" aria-hidden="true" /></span>}
      {alarm && (
        <span class="tile-alarm">
          <strong>{titleOf(alarm)}</strong> <time>{clock(alarm.ts)}</time>
        </span>
      )}
      <span class="tile-foot">
        <span class="tile-name">{camera.name}</span>
        {camera.node && <span class="tile-node">{camera.node}</span>}
        {detected && <span class="tile-detected">{detected}</span>}
        {running && camera.reduced && (
          <span class="tile-reduced" title={camera.reduced.message}>
            <WarningIcon />
            <span class="unseen">{camera.reduced.message}</span>
          </span>
        )}
      </span>
    </a>
  );
}

/** Why there is no video: the state, and the reason behind it. */
function Trouble({ camera }: { camera: Camera }): JSX.Element {
  return (
    <span class="tile-trouble">
      <strong>{common(`state.${camera.state}`)}</strong>
      {camera.problem && <span>{camera.problem}</span>}
    </span>
  );
}

/** What is in the newest frame, in words. */
export function detectedIn({ stats }: Camera): string {
  const { ids, faces, bags } = stats;
  const counts: [string, number][] = [["person", ids], ["face", faces]];
  return [countsInWords(counts), bags > 0 && t("bags", { n: bags })].filter(Boolean).join(", ");
}
