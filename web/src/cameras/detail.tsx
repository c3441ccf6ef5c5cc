/** One camera: its state, and its settings in tabs. */

import type { JSX } from "preact";
import { CAMERAS, useCameras } from "../api/cameras";
import { call } from "../api/client";
import { refresh as refreshAll, usePolled } from "../api/polling";
import { useRights } from "../api/session";
import { BackIcon, ButtonLink, LiveIcon, Problem, Spinner, StateMark, Tabs, View } from "../parts";
import { go, link } from "../shell/router";
import { number } from "../words";
import { t as common } from "../words/common";
import { t } from "../words/cameras";
import { CameraActions } from "./actions";
import type { CameraDetail, Settings } from "./model";
import { PlacesTab } from "./places";
import { RulesTab } from "./rules";
import { SettingsTab } from "./settings";

const TABS = ["places", "analytics", "settings"] as const;
type Tab = (typeof TABS)[number];
const SAVE_MS = 40_000;

export function CameraView({ id, tab }: { id: string; tab: string | null }): JSX.Element {
  const path = `camera/${encodeURIComponent(id)}`;
  const { data: camera, problem, refresh } = usePolled<CameraDetail>(path, 4000);
  const { data: listed } = useCameras();
  const may = useRights();
  const row = listed?.find(({ camera_id }) => camera_id === id);
  const kind = row?.kind ?? "camera";
  if (!camera) {
    return (
      <View title={id} actions={<Back />}>
        {problem ? <Problem text={problem} onRetry={refresh} /> : <Spinner />}
      </View>
    );
  }
  const editable = kind === "camera" && may("control", id);
  const current = TABS.find((name) => name === tab) ?? "places";
  const save = async (changes: Partial<Settings>) => {
    await call(path, { method: "PATCH", body: changes, patienceMs: SAVE_MS });
    await refresh();
    refreshAll(CAMERAS);
  };
  const { state, last_error: error, numbers } = camera;
  return (
    <View
      title={camera.name}
      actions={
        <>
          <Back />
          <ButtonLink icon={LiveIcon} href={link("live", id)}>{t("watch")}</ButtonLink>
          <CameraActions camera={{ ...camera, kind }} />
        </>
      }
    >
      <div class="camera-state">
        <StateMark state={state} label={common(`state.${state}`)} />
        {state === "running" && (
          <span class="hint">
            {t("fps", { fps: number(numbers.output_fps, 1) })}
            {numbers.width && numbers.height ? ` · ${numbers.width} × ${numbers.height}` : ""}
            {numbers.codec ? ` · ${numbers.codec}` : ""}
          </span>
        )}
        {kind !== "camera" && <span class="camera-kind">{t.or(`from.${kind}`, kind)}</span>}
      </div>
      {state !== "running" && state !== "stopped" && error && (
        <p class="notice bad" title={error}>{row?.problem ?? error}</p>
      )}
      {kind !== "camera" && <p class="notice">{t("other_api")}</p>}
      <Tabs
        label={camera.name}
        tabs={TABS.map((name) => ({ name, label: t(`tab.${name}`) }))}
        current={current}
        onChange={(name: Tab) => go(link("cameras", id, { tab: name }), { replace: true })}
      >
        {current === "places" && <PlacesTab camera={camera} editable={editable} onSave={save} />}
        {current === "analytics" && <RulesTab camera={camera} editable={editable} onSave={save} />}
        {current === "settings" && <SettingsTab camera={camera} editable={editable} onSave={save} />}
      </Tabs>
    </View>
  );
}

function Back(): JSX.Element {
  return <ButtonLink kind="quiet" icon={BackIcon} href={link("cameras")}>{t("title")}</ButtonLink>;
}
