/** What the page shows while the server has no camera yet. */

import type { JSX } from "preact";
import { call } from "../api/client";
import { refresh, useAction } from "../api/polling";
import { CAMERAS } from "../api/cameras";
import { useRights } from "../api/session";
import { Button, ButtonLink, CameraIcon, Empty, LiveIcon, PlayIcon, View } from "../parts";
import { link } from "../shell/router";
import { t as shell } from "../words/shell";
import { t } from "../words/live";

export function FirstVisit(): JSX.Element {
  const may = useRights();
  const { busy, problem, run } = useAction();
  const startDemo = async () => {
    if (await run(() => call("api/demo", { method: "POST" }))) refresh(CAMERAS);
  };
  return (
    <View title={shell("nav.live")} titleHidden>
      <Empty
        icon={LiveIcon}
        title={t("welcome")}
        actions={
          may("control") && (
            <>
              <ButtonLink kind="primary" icon={CameraIcon} href={link("cameras", "new")}>{t("add_camera")}</ButtonLink>
              <Button icon={PlayIcon} busy={busy} onClick={startDemo}>{t("start_demo")}</Button>
              <ButtonLink kind="quiet" href="viewer">{t("webcam")}</ButtonLink>
            </>
          )
        }
      >
        <p>{t("welcome_text")}</p>
        <p>{t(may("control") ? "welcome_start" : "welcome_wait")}</p>
        {problem && <p class="problem" role="alert">{problem}</p>}
      </Empty>
    </View>
  );
}
