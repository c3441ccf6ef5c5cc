/** Everything that runs, and the cameras that are stopped. */

import type { JSX } from "preact";
import { type Camera, useCameras } from "../api/cameras";
import { useRights } from "../api/session";
import { AddIcon, ButtonLink, CameraIcon, Empty, Problem, Spinner, StateMark, View } from "../parts";
import { link } from "../shell/router";
import { number } from "../words";
import { t as common } from "../words/common";
import { t } from "../words/cameras";
import { t as rules } from "../words/rules";
import { CameraActions } from "./actions";

export function CameraList(): JSX.Element {
  const { data: cameras, problem, refresh } = useCameras();
  const may = useRights();
  const add = may("control", "*") && (
    <ButtonLink kind="primary" icon={AddIcon} href={link("cameras", "new")}>{t("add_camera")}</ButtonLink>
  );
  if (!cameras) return <View title={t("title")}>{problem ? <Problem text={problem} onRetry={refresh} /> : <Spinner />}</View>;
  const active = cameras.filter(({ state }) => state !== "stopped");
  const stopped = cameras.filter(({ state }) => state === "stopped");
  return (
    <View title={t("title")} actions={add}>
      {problem && <Problem text={problem} onRetry={refresh} />}
      {cameras.length === 0 && (
        <Empty title={t("none")} icon={CameraIcon} actions={add}>{t("none_text")}</Empty>
      )}
      {active.length > 0 && <Group title={t("active")} cameras={active} />}
      {stopped.length > 0 && <Group title={t("stopped")} cameras={stopped} />}
    </View>
  );
}

function Group({ title, cameras }: { title: string; cameras: readonly Camera[] }): JSX.Element {
  return (
    <section class="camera-group">
      <h2>{title} <span class="hint">{number(cameras.length)}</span></h2>
      <ul class="camera-list">
        {cameras.map((camera) => (
          <Row key={camera.camera_id} camera={camera} />
        ))}
      </ul>
    </section>
  );
}

function Row({ camera }: { camera: Camera }): JSX.Element {
  const { camera_id: id, name, node, kind, state, fps, width, height, last_error: error, problem } = camera;
  const troubled = state !== "running" && state !== "stopped";
  return (
    <li class="camera-row">
      <div class="camera-main">
        <a class="camera-name" href={link("cameras", id)}>{name}</a>
        <span class="hint camera-source">{camera.source}</span>
      </div>
      <div class="camera-facts">
        <StateMark state={state} label={common(`state.${state}`)} />
        {state === "running" && <span>{t("fps", { fps: number(fps, 1) })}</span>}
        {state === "running" && width && height && <span class="camera-size">{width} × {height}</span>}
        {kind !== "camera" && <span class="camera-kind">{t.or(`from.${kind}`, kind)}</span>}
        {node && <span class="camera-kind">{t("on_node", { node })}</span>}
        {camera.analytics.map((rule) => (
          <span class="camera-kind" key={rule}>{rules.or(`rule.${rule}`, rule)}</span>
        ))}
      </div>
      <CameraActions camera={camera} compact />
      {troubled && error && <p class="camera-error" title={error}>{problem ?? error}</p>}
      {state === "running" && camera.reduced && <p class="camera-reduced">{camera.reduced.message}</p>}
    </li>
  );
}
