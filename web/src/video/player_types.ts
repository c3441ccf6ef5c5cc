/** What all kinds of players have in common. */

import type { Picture } from "./stage";
import type { TimedFrame } from "./timeline";

export interface PlayerHandlers {
  /** A frame is shown, or to be drawn now; a bitmap is the receiver's to close. */
  onFrame: (frame: TimedFrame, picture: Picture) => void;
}

export interface RunningPlayer {
  close(): void;
}
