/** Draws the boxes of a frame, as the viewer page does, in this page's words. */

import * as viewer from "../../../static/viewer/boxes.js";
import { percent } from "../words";
import { nameOf } from "./labels";
import type { FrameInfo } from "./wire";

export { fit } from "../../../static/viewer/boxes.js";

export interface Rectangle {
  left: number;
  top: number;
  width: number;
  height: number;
}

const WORDS = { nameOf, percent };

/** Draw the boxes of a frame that is shown in `area`; `ratio`: screen pixels per CSS pixel. */
export function drawBoxes(ink: CanvasRenderingContext2D, frame: FrameInfo, area: Rectangle, ratio: number): void {
  const { detections, width } = frame;
  if (detections && width) viewer.drawBoxes(ink, { detections, width }, area, ratio, WORDS);
}
