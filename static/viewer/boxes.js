/** Draws the boxes of a frame, with names where there is room. The control room has it from here, too. */

import { colourOf, isSure } from "./detections.js";

/**
 * @typedef {import("./wire.js").Detection} Detection
 * @typedef {{left: number, top: number, width: number, height: number}} Rectangle
 * @typedef {{nameOf: (label: string) => string, percent: (share: number) => string}} Words
 */

const CROWDED = 12;
const SMALL = 480; // CSS pixels of the video's width
const LETTERS = 13;
const SMALL_LETTERS = 11;
const LINE = 2;
const DOTS = [2, 6];
const TEXT_COLOUR = "#0b0f12";
const SHADE = "rgb(0 0 0 / 60%)";

/**
 * Draw the boxes of a frame that is shown in `area`.
 *
 * @param {CanvasRenderingContext2D} ink
 * @param {{width: number, detections: Detection[]}} frame
 * @param {Rectangle} area  of the frame, in CSS pixels
 * @param {number} ratio  screen pixels per CSS pixel: lines are aligned to screen pixels, so that
 *   they are sharp
 * @param {Words} words  of the page
 */
export function drawBoxes(ink, frame, area, ratio, words) {
  const scale = area.width / frame.width;
  const across = (/** @type {number} */ x) => Math.round((area.left + x * scale) * ratio) / ratio;
  const down = (/** @type {number} */ y) => Math.round((area.top + y * scale) * ratio) / ratio;
  const placed = frame.detections.map((detection) => {
    const [x1, y1, x2, y2] = detection.box;
    const [left, top] = [across(x1), down(y1)];
    return { detection, box: { left, top, width: across(x2) - left, height: down(y2) - top } };
  });
  for (const { detection, box } of placed) drawBox(ink, detection, box);
  /** @type {Rectangle[]} */
  const taken = [];
  const named = placed.filter(({ detection }) => isSure(detection));
  for (const { detection, box } of named) {
    const place =
      area.width < SMALL
        ? drawName(ink, detection, words.nameOf(detection.label), box, area, taken)
        : drawLabel(ink, detection, textOf(detection, words, named.length > CROWDED), box, area, taken);
    if (place) taken.push(place);
  }
}

/**
 * A dark line below the coloured one keeps it visible on any background. Uncertain detections get a
 * dotted line and no name.
 *
 * @param {CanvasRenderingContext2D} ink
 * @param {Detection} detection
 * @param {Rectangle} box
 */
function drawBox(ink, detection, { left, top, width, height }) {
  ink.lineJoin = "round";
  ink.setLineDash(isSure(detection) ? [] : DOTS);
  ink.strokeStyle = SHADE;
  ink.lineWidth = LINE + 2;
  ink.strokeRect(left, top, width, height);
  ink.strokeStyle = colourOf(detection.label);
  ink.lineWidth = LINE;
  ink.strokeRect(left, top, width, height);
  ink.setLineDash([]);
}

/**
 * The name, confidence and track; `brief`: the name alone.
 *
 * @param {Detection} detection
 * @param {Words} words
 * @param {boolean} brief
 */
function textOf({ label, confidence, track_id: track }, { nameOf, percent }, brief) {
  if (brief) return nameOf(label);
  return `${nameOf(label)} ${percent(confidence)}${track === null ? "" : ` #${track}`}`;
}

/**
 * A text on a coloured ground.
 *
 * @param {CanvasRenderingContext2D} ink
 * @param {Detection} detection
 * @param {string} text
 * @param {Rectangle} box
 * @param {Rectangle} area
 * @param {Rectangle[]} taken  the labels drawn so far
 * @returns {Rectangle} the label's place
 */
function drawLabel(ink, detection, text, box, area, taken) {
  ink.font = `600 ${LETTERS}px system-ui, sans-serif`;
  ink.textBaseline = "middle";
  const wanted = { width: ink.measureText(text).width + 10, height: LETTERS + 7 };
  const { place } = findPlace(wanted, box, area, taken);
  ink.fillStyle = SHADE;
  ink.fillRect(place.left - 1, place.top - 1, place.width + 2, place.height + 2);
  ink.fillStyle = colourOf(detection.label);
  ink.fillRect(place.left, place.top, place.width, place.height);
  ink.fillStyle = TEXT_COLOUR;
  ink.fillText(text, place.left + 5, place.top + place.height / 2 + 0.5);
  return place;
}

/**
 * On a phone a label would hide much of the video: the outlined name alone, and only where there is
 * room. The list below the video has all of them.
 *
 * @param {CanvasRenderingContext2D} ink
 * @param {Detection} detection
 * @param {string} text
 * @param {Rectangle} box
 * @param {Rectangle} area
 * @param {Rectangle[]} taken  the names drawn so far
 * @returns {Rectangle | null} the name's place, if it has one
 */
function drawName(ink, detection, text, box, area, taken) {
  ink.font = `600 ${SMALL_LETTERS}px system-ui, sans-serif`;
  ink.textBaseline = "middle";
  const wanted = { width: ink.measureText(text).width + 4, height: SMALL_LETTERS + 2 };
  const { place, free } = findPlace(wanted, box, area, taken);
  if (!free) return null;
  const [x, y] = [place.left + 2, place.top + place.height / 2 + 0.5];
  ink.setLineDash([]);
  ink.lineWidth = 3;
  ink.strokeStyle = "rgb(0 0 0 / 85%)";
  ink.strokeText(text, x, y);
  ink.fillStyle = colourOf(detection.label);
  ink.fillText(text, x, y);
  return place;
}

/**
 * The largest centred rectangle of a frame's aspect ratio in a space.
 *
 * @param {{width: number, height: number}} frame
 * @param {number} width
 * @param {number} height
 * @returns {Rectangle}
 */
export function fit(frame, width, height) {
  const scale = Math.min(width / frame.width, height / frame.height);
  const size = { width: frame.width * scale, height: frame.height * scale };
  return { left: (width - size.width) / 2, top: (height - size.height) / 2, ...size };
}

/**
 * A place for a label that covers no other label: above, inside, or below its box.
 *
 * @param {{width: number, height: number}} size
 * @param {Rectangle} box
 * @param {Rectangle} area
 * @param {Rectangle[]} taken
 * @returns {{place: Rectangle, free: boolean}}  not free if there is none without another label
 */
function findPlace(size, box, area, taken) {
  const furthest = area.left + area.width - size.width;
  const left = Math.max(area.left, Math.min(box.left - LINE / 2, furthest));
  const lowest = area.top + area.height - size.height;
  const tops = [box.top - size.height, box.top, box.top + box.height - size.height, box.top + box.height];
  const places = tops
    .filter((top) => top >= area.top && top <= lowest)
    .map((top) => ({ left, top, ...size }));
  const fallback = { left, top: Math.max(area.top, Math.min(box.top, lowest)), ...size };
  const free = places.find((place) => !taken.some((other) => overlap(place, other)));
  return { place: free ?? places[0] ?? fallback, free: free !== undefined };
}

/** @param {Rectangle} a @param {Rectangle} b */
function overlap(a, b) {
  return (
    a.left < b.left + b.width &&
    b.left < a.left + a.width &&
    a.top < b.top + b.height &&
    b.top < a.top + a.height
  );
}
