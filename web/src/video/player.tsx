/** The live video of one stream: H.264 where the browser can play it, else MJPEG. */

import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { t } from "../words/video";
import { mediaSourceClass, playsH264 } from "./media_source";
import { MjpegPlayer } from "./mjpeg_player";
import { MsePlayer } from "./mse_player";
import "./player.css";
import type { PlayerHandlers, RunningPlayer } from "./player_types";
import { Stage } from "./stage";
import { Pace, type Shown } from "./pace";
import type { FrameInfo, Places } from "./wire";

export interface PlayerProps {
  /** Its id. */
  stream: string;
  /** What a screen reader says about it. */
  label: string;
  /** Whether to draw boxes, zones and lines. */
  boxes?: boolean;
  places?: Places;
  /** Told of each frame when it is shown. */
  onFrame?: (frame: FrameInfo) => void;
  /** Told about once a second how it is shown. */
  onShown?: (shown: Shown) => void;
}

export function Player(props: PlayerProps): JSX.Element {
  const { stream, label, boxes = true, places } = props;
  const video = useRef<HTMLVideoElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const stage = useRef<Stage | null>(null);
  const latest = useRef(props);
  latest.current = props;

  useEffect(() => {
    const drawn = new Stage(canvas.current!);
    stage.current = drawn;
    const end = play(stream, video.current!, canvas.current!, drawn, latest);
    return () => {
      end();
      drawn.close();
    };
  }, [stream]);
  useEffect(() => {
    if (stage.current) stage.current.withBoxes = boxes;
  }, [boxes, stream]);
  useEffect(() => {
    if (stage.current && places) stage.current.places = places;
  }, [places, stream]);

  return (
    <div class="video-player">
      <video ref={video} muted playsInline aria-hidden="true" tabIndex={-1} />
      <canvas ref={canvas} role="img" aria-label={label} />
    </div>
  );
}

/** Play a stream; the result ends that. */
function play(
  stream: string,
  video: HTMLVideoElement,
  canvas: HTMLCanvasElement,
  stage: Stage,
  props: { current: PlayerProps },
): () => void {
  let player: RunningPlayer | null = null;
  const pace = new Pace((shown) => props.current.onShown?.(shown));
  const onFrame: PlayerHandlers["onFrame"] = (frame, picture) => {
    stage.show(frame, picture);
    canvas.dataset.frame = String(frame.frame);
    pace.count(frame.capturedAt);
    props.current.onFrame?.(frame);
  };
  const fallBack = (reason: string): void => {
    pace.begin("MJPEG", reason);
    player = new MjpegPlayer(stream, { onFrame });
  };
  const Source = mediaSourceClass();
  if (Source && playsH264()) {
    pace.begin("H.264");
    const onGiveUp = (reason: string) => fallBack(t("not_played", { reason }));
    player = new MsePlayer(Source, video, stream, { onFrame, onGiveUp });
  } else fallBack(t("no_media_source"));
  return () => player?.close();
}
