/** Start, stop, restart and delete a camera. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { type Camera, CAMERAS } from "../api/cameras";
import { call } from "../api/client";
import { refresh, useAction } from "../api/polling";
import { useRights } from "../api/session";
import { Button, Confirm, DeleteIcon, IconButton, PlayIcon, RestartIcon, StopIcon, toast } from "../parts";
import { go, link } from "../shell/router";
import { t as common } from "../words/common";
import { t } from "../words/cameras";

const START_MS = 40_000;

export function CameraActions({ camera, compact }: {
  camera: Pick<Camera, "camera_id" | "name" | "state" | "kind">;
  /** Icons only, as in a list. */
  compact?: boolean;
}): JSX.Element | null {
  const { camera_id: id, name, state, kind } = camera;
  const may = useRights();
  const [asking, setAsking] = useState(false);
  const { busy, problem, run, clear } = useAction();
  if (kind !== "camera" || !may("control", id)) return null;
  const path = `camera/${encodeURIComponent(id)}`;
  const act = async (what: "start" | "stop" | "restart") => {
    let error = "";
    const done = await run(async () => {
      try {
        await call(`${path}/${what}`, { method: "POST", patienceMs: START_MS });
      } catch (failure) {
        error = failure instanceof Error ? failure.message : "";
        throw failure;
      }
    });
    if (!done) toast(error, { bad: true });
    refresh(CAMERAS);
    refresh(path);
  };
  const remove = async () => {
    if (!(await run(() => call(path, { method: "DELETE" })))) return;
    setAsking(false);
    toast(t("deleted", { name }));
    refresh(CAMERAS);
    go(link("cameras"));
  };
  const running = state !== "stopped" && state !== "failed";
  const actions = [
    running
      ? { icon: StopIcon, label: t("stop"), run: () => act("stop") }
      : { icon: PlayIcon, label: t("start"), run: () => act("start") },
    { icon: RestartIcon, label: t("restart"), run: () => act("restart"), hidden: !running },
    { icon: DeleteIcon, label: common("delete"), run: () => setAsking(true) },
  ].filter(({ hidden }) => !hidden);
  return (
    <div class="camera-actions">
      {actions.map(({ icon, label, run: start }) =>
        compact ? (
          <IconButton key={label} icon={icon} label={`${label}: ${name}`} disabled={busy} onClick={start} />
        ) : (
          <Button key={label} icon={icon} disabled={busy} onClick={start}>{label}</Button>
        ),
      )}
      {asking && (
        <Confirm
          title={t("delete_title", { name })}
          confirm={common("delete")}
          danger
          busy={busy}
          problem={problem}
          onConfirm={remove}
          onClose={() => {
            setAsking(false);
            clear();
          }}
        >
          <p>{t("delete_lost")}</p>
          <p>{t("delete_kept")}</p>
        </Confirm>
      )}
    </div>
  );
}
