/** One camera, large. */

import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { type Camera, useCameras } from "../api/cameras";
import {
  BackIcon,
  BoxesIcon,
  Button,
  ForwardIcon,
  FullScreenIcon,
  IconButton,
  ShareIcon,
  StateMark,
  View,
} from "../parts";
import { go, link } from "../shell/router";
import { number } from "../words";
import { t as common } from "../words/common";
import { t as names } from "../words/names";
import { t } from "../words/live";
import { Detected } from "./detected";
import { toggleFullScreen, useKeys } from "./keys";
import { summary } from "../video/labels";
import { RecentEvents } from "./recent_events";
import { Share } from "./share";
import type { Shown } from "../video/pace";
import { Player } from "../video/player";
import type { FrameInfo } from "../video/wire";
import { useWatch, type Watched } from "./watch";

const RESULTS_MS = 250;
const COMES_BACK_MS = 1000;

/** What is on the screen; null before the first frame. */
interface Seen {
  /** Shown less than a quarter of a second ago. */
  frame: FrameInfo | null;
  shown: Shown | null;
}

const UNSEEN: Seen = { frame: null, shown: null };

export function Enlarged({ id }: { id: string }): JSX.Element {
  const { data: cameras = [] } = useCameras();
  const [withBoxes, setWithBoxes] = useState(true);
  const [sharing, setSharing] = useState(false);
  const [attempt, setAttempt] = useState(0);
  const frame = useRef<HTMLDivElement>(null);
  const watched = useWatch(id, attempt);
  const camera = cameras.find(({ camera_id: other }) => other === id);
  const [seen, setSeen] = useState<Seen>(UNSEEN);
  const toldAt = useRef(0);
  useEffect(() => setSeen(UNSEEN), [id, attempt]);
  const onFrame = (result: FrameInfo) => {
    if (performance.now() - toldAt.current < RESULTS_MS) return;
    toldAt.current = performance.now();
    setSeen((before) => ({ ...before, frame: result }));
  };
  const ranOut = watched.link === "ended" && (camera?.state === "running" || camera?.state === "starting");
  useEffect(() => {
    if (!ranOut) return; // it was restarted or changed: watch its next run
    const timer = setTimeout(() => setAttempt((before) => before + 1), COMES_BACK_MS);
    return () => clearTimeout(timer);
  }, [ranOut]);
  const places = useMemo(
    () => ({ zones: watched.hello?.zones ?? [], lines: watched.hello?.lines ?? [] }),
    [watched.hello],
  );
  const name = camera?.name ?? watched.hello?.name ?? id;
  const [previous, next] = neighbours(cameras, id);
  const back = () => go(link("live"));
  useKeys({
    Escape: () => document.fullscreenElement || back(),
    ArrowLeft: () => previous && go(link("live", previous), { replace: true }),
    ArrowRight: () => next && go(link("live", next), { replace: true }),
    b: () => setWithBoxes(!withBoxes),
    f: () => toggleFullScreen(frame.current),
  });

  const actions = (
    <>
      <IconButton icon={BackIcon} label={t("previous_camera")} disabled={!previous} onClick={() => go(link("live", previous!), { replace: true })} />
      <IconButton icon={ForwardIcon} label={t("next_camera")} disabled={!next} onClick={() => go(link("live", next!), { replace: true })} />
      <IconButton icon={BoxesIcon} label={`${t("boxes")} (B)`} pressed={withBoxes} onClick={() => setWithBoxes(!withBoxes)} />
      <IconButton icon={ShareIcon} label={t("share")} onClick={() => setSharing(true)} />
      {document.fullscreenEnabled && (
        <IconButton icon={FullScreenIcon} label={`${t("full_screen")} (F)`} onClick={() => toggleFullScreen(frame.current)} />
      )}
    </>
  );
  return (
    <View title={name} class="enlarged" actions={actions} before={<BackLink />}>
      <div class="enlarged-columns">
        <div class="enlarged-main">
          <div class="stage" ref={frame}>
            <Player
              key={attempt}
              stream={id}
              label={describe(name, seen)}
              boxes={withBoxes}
              places={places}
              onFrame={onFrame}
              onShown={(shown) => setSeen((before) => ({ ...before, shown }))}
            />
            <Curtain
              watched={watched}
              camera={camera}
              id={id}
              hasPicture={seen.frame !== null}
              onRetry={() => setAttempt(attempt + 1)}
            />
          </div>
          <Facts watched={watched} camera={camera} seen={seen} />
        </div>
        <aside class="enlarged-side">
          <Detected frame={seen.frame} />
          <RecentEvents camera={id} />
        </aside>
      </div>
      {sharing && <Share id={id} onClose={() => setSharing(false)} />}
    </View>
  );
}

function BackLink(): JSX.Element {
  return (
    <a class="icon-button" href={link("live")} aria-label={t("back")} title={`${t("back")} (Esc)`}>
      <BackIcon />
    </a>
  );
}

function describe(name: string, { frame }: Seen): string {
  if (!frame) return name;
  return t("shows", { name, what: summary(frame.detections ?? []) || t("nothing") });
}

/** The cameras beside one in the list. */
function neighbours(cameras: Camera[], id: string): [string | undefined, string | undefined] {
  const ids = cameras.filter(({ state }) => state !== "stopped").map(({ camera_id: other }) => other);
  const at = ids.indexOf(id);
  return at < 0 ? [undefined, ids[0]] : [ids[at - 1], ids[at + 1]];
}

/** Covers the video while there is none, or says above it why it is not live. */
function Curtain(props: {
  watched: Watched;
  camera?: Camera;
  id: string;
  hasPicture: boolean;
  onRetry: () => void;
}): JSX.Element | null {
  const { watched, camera, id, hasPicture, onRetry } = props;
  const { link: connection, state } = watched;
  const why = camera?.problem ?? watched.reason;
  if (connection === "unknown") return <Cover title={t("unknown", { id })} text={t("unknown_text")} onRetry={onRetry} />;
  if (connection === "ended") return <Cover title={t("ended")} text={watched.reason} onRetry={onRetry} />;
  if (connection === "closed") return <Cover title={t("refused")} text={watched.reason} onRetry={onRetry} />;
  const lost = connection === "waiting" || (connection === "connecting" && hasPicture);
  const trouble = lost ? t("lost") : state && state !== "running" ? common(`state.${state}`) : "";
  if (hasPicture && !trouble) return null;
  const title = trouble || t("first_frame");
  if (!hasPicture) return <Cover title={title} text={trouble && !lost ? why : ""} busy={state !== "failed" && state !== "stopped"} />;
  return (
    <p class="stage-banner" role="status">
      <strong>{title}</strong> {!lost && why}
    </p>
  );
}

function Cover(props: { title: string; text: string; busy?: boolean; onRetry?: () => void }): JSX.Element {
  return (
    <div class="stage-cover" role="status">
      {props.busy && <span class="spinner" aria-hidden="true" />}
      <p class="stage-title">{props.title}</p>
      {props.text && <p>{props.text}</p>}
      {props.onRetry && <Button onClick={props.onRetry}>{common("retry")}</Button>}
    </div>
  );
}

function Facts({ watched, camera, seen }: { watched: Watched; camera?: Camera; seen: Seen }): JSX.Element {
  const { hello, state } = watched;
  const { frame, shown: video } = seen;
  const shown = state ?? camera?.state;
  return (
    <>
      <dl class="stage-facts">
        {shown && (
          <div>
            <dt class="unseen">{t("state")}</dt>
            <dd><StateMark state={shown} label={common(`state.${shown}`)} /></dd>
          </div>
        )}
        {video && (
          <>
            <div><dt>{t("rate")}</dt><dd>{t("fps", { n: number(video.fps, video.fps < 10 ? 1 : 0) })}</dd></div>
            <div><dt>{t("latency")}</dt><dd>{t("ms", { n: number(Math.round(video.delayMs)) })}</dd></div>
          </>
        )}
        {frame && frame.width > 0 && <div><dt>{t("frame_size")}</dt><dd>{`${frame.width} × ${frame.height}`}</dd></div>}
        {video && <div><dt>{t("format")}</dt><dd>{video.format}</dd></div>}
        {hello && <div><dt>{t("faces")}</dt><dd>{names.or(`blur.${hello.blur}`, hello.blur)}</dd></div>}
      </dl>
      {video?.reason && <p class="hint">{video.reason}</p>}
      {camera?.reduced && <p class="notice warn">{camera.reduced.message}</p>}
    </>
  );
}
