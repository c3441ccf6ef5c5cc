/** Plays what is recorded from a time on, in pieces without gaps. */

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { at as url, problemOf, withQuery } from "../api/client";
import { refusalOf } from "../api/media";
import { PlayIcon, Problem } from "../parts";
import { withSeconds } from "../words";
import { t } from "../words/recordings";
import { frameUrl } from "./preview";
import type { Period } from "./spans";

const PIECE_S = 300;

export interface PlayerProps {
  camera: string;
  /** Where playing begins; a new value begins anew. */
  from: number;
  /** Changes with each wish to play, also from the same time. */
  wish: number;
  playing: boolean;
  periods: readonly Period[];
  onPlay: () => void;
  onTime: (ts: number) => void;
  /** What is after the end of a piece: the next time with video, or null. */
  onEnd: (ts: number) => void;
}

export function Player(props: PlayerProps): JSX.Element {
  const { camera, from, wish, playing, periods, onPlay, onTime, onEnd } = props;
  const period = periods.find(({ begin_ts, end_ts }) => begin_ts <= from && from < end_ts);
  const [problem, setProblem] = useState<string>();
  const piece = useRef<Period>({ begin_ts: 0, end_ts: 0 });
  useEffect(() => setProblem(undefined), [from, wish, camera]);
  if (!period) return <div class="player player-empty">{t("nothing_recorded")}</div>;
  if (!playing) {
    return (
      <div class="player">
        <img src={frameUrl(camera, from, 960)} alt={t("frame_at", { when: withSeconds(from) })} />
        <button type="button" class="player-start" aria-label={t("play")} title={t("play")} onClick={onPlay}>
          <PlayIcon />
        </button>
      </div>
    );
  }
  // The end is fixed once a piece is asked for: what is recorded right now grows meanwhile.
  if (piece.current.begin_ts !== from) {
    piece.current = { begin_ts: from, end_ts: Math.min(period.end_ts, from + PIECE_S) };
  }
  const { end_ts: end } = piece.current;
  const source = withQuery("api/recordings/play.mp4", { stream: camera, from, to: end });
  return (
    <div class="player">
      <video
        key={`${source} ${wish}`}
        src={url(source).href}
        controls
        autoplay
        muted
        playsInline
        aria-label={t("recording_of", { camera })}
        onTimeUpdate={({ currentTarget: video }) => {
          // It begins at a keyframe, up to two seconds early, and ends where it was asked to.
          // The last word of a video that was replaced meanwhile would take the playhead back.
          if (video.isConnected && Number.isFinite(video.duration)) onTime(end - (video.duration - video.currentTime));
        }}
        onEnded={() => onEnd(end)}
        onError={() => void why(source).then(setProblem)}
      />
      {problem && <Problem text={problem} />}
    </div>
  );
}

/** Why a piece cannot be played. */
async function why(source: string): Promise<string> {
  try {
    const refused = await refusalOf(source);
    return refused?.message ?? t("cannot_play");
  } catch (error) {
    return problemOf(error);
  }
}
