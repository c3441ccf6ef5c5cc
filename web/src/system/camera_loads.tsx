/** Each camera's rates and delays, and why it is slower than it was asked to be. */

import type { JSX } from "preact";
import { usePolled } from "../api/polling";
import { Empty, Problem, Spinner, StateMark, Table, type Column } from "../parts";
import { link } from "../shell/router";
import { number, percent } from "../words";
import { t as common } from "../words/common";
import { t } from "../words/system";
import { STATUS, type CameraLoad, type SystemStatus } from "./api";
import { useLoad } from "./load";

const EVERY_MS = 3000;
/** A rate below this share of what was asked for is slower than asked. */
const SLOW = 0.9;

export function CameraLoads(): JSX.Element {
  const { data: status, problem, refresh } = usePolled<SystemStatus>(STATUS, EVERY_MS);
  const load = useLoad(status);
  if (!status) return problem ? <Problem text={problem} onRetry={refresh} /> : <Spinner />;
  const cores = ({ camera_id: id }: CameraLoad) => (load ? number(load.cameras.get(id) ?? 0, 2) : "…");
  const columns: Column<CameraLoad>[] = [
    { name: "camera", title: t("camera"), cell: (one) => <Name camera={one} /> },
    { name: "fps", title: t("fps"), numeric: true, cell: fpsOf },
    { name: "delay", title: t("delay"), numeric: true, cell: delayOf },
    { name: "dropped", title: t("dropped"), numeric: true, wide: true, cell: (one) => shareOf(one, one.numbers.frames_dropped) },
    { name: "withheld", title: t("withheld"), numeric: true, wide: true, cell: (one) => shareOf(one, one.numbers.frames_withheld) },
    { name: "cores", title: t("cpu_cores"), numeric: true, wide: true, cell: cores },
    { name: "codec", title: t("codec"), wide: true, cell: codecOf },
    { name: "why", title: t("why"), wide: true, cell: (one) => <span class="system-why">{whyOf(one)}</span> },
  ];
  return (
    <>
      {problem && <Problem text={problem} onRetry={refresh} />}
      <Table
        label={t("tab.cameras")}
        columns={columns}
        rows={status.cameras}
        keyOf={(one) => one.camera_id}
        empty={<Empty title={t("no_cameras")} />}
      />
      <p class="hint">{t("rates_hint")}</p>
    </>
  );
}

function Name({ camera }: { camera: CameraLoad }): JSX.Element {
  const why = whyOf(camera);
  return (
    <>
      <a href={link("live", camera.camera_id)}>{camera.name}</a>
      <span class="system-below">
        <StateMark state={camera.state} label={common.or(`state.${camera.state}`, camera.state)} />
      </span>
      {why && <span class="quiet-text system-below system-narrow">{why}</span>}
    </>
  );
}

const isRunning = ({ state }: CameraLoad) => state === "running";

function fpsOf(one: CameraLoad): string {
  if (!isRunning(one)) return "–";
  return t("of", { now: number(one.numbers.output_fps, 1), all: number(one.max_fps) });
}

function delayOf({ numbers }: CameraLoad): string {
  const { p50, p95 } = numbers.latency_ms;
  return p50 === null || p95 === null ? "–" : t("ms_pair", { p50: Math.round(p50), p95: Math.round(p95) });
}

function shareOf({ numbers }: CameraLoad, count: number): string {
  return numbers.frames_in === 0 ? "–" : `${number(count)} (${percent(count / numbers.frames_in)})`;
}

function codecOf({ numbers }: CameraLoad): string {
  return [numbers.decoder, numbers.encoder].filter(Boolean).join(" → ") || "–";
}

/** Why a camera is slower than asked, in words; empty if it is not. */
function whyOf(one: CameraLoad): string {
  const { input_fps: input, output_fps: output } = one.numbers;
  if (!isRunning(one)) return one.state === "stopped" ? "" : (one.problem ?? "");
  if (one.reduced) return one.reduced.message;
  if (output >= SLOW * one.max_fps || input === 0) return "";
  return output >= SLOW * input ? t("source_slower", { fps: number(input, 1) }) : t("frames_skipped");
}
