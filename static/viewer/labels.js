/** The labels of detections: their colours and their names. */

import { list, t, textOr } from "./i18n.js";

/** Bright enough for dark text, and easy to tell apart. */
const COLOURS = new Map([
  ["person", "#5cc8ff"],
  ["face", "#d9d4ff"],
  ["backpack", "#ffb454"],
  ["handbag", "#ff9d8a"],
  ["suitcase", "#ffd166"],
  ["car", "#7ee081"],
  ["motorcycle", "#b8e986"],
  ["bus", "#4fe0c0"],
  ["truck", "#a5d6a7"],
  ["plate", "#fff176"],
  ["cigarette", "#ff86c8"],
]);
const OTHER = "#e0e0e0";

/** Confidence below which a detection is uncertain: a face is blurred but not counted. */
const SURE = 0.3;

/** @param {import("./wire.js").Detection} detection */
export function isSure({ confidence }) {
  return confidence >= SURE;
}

/** @param {string} label */
export function colourOf(label) {
  return COLOURS.get(label) ?? OTHER;
}

/** @param {string} label */
export function nameOf(label) {
  return textOr(`name.${label}`, label);
}

/**
 * The certain detections, counted: "2 people, 1 face"; empty for none.
 *
 * @param {import("./wire.js").Detection[]} detections
 */
export function summary(detections) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const { label } of detections.filter(isSure)) counts.set(label, (counts.get(label) ?? 0) + 1);
  return list([...counts].map(([label, n]) => textOr(`label.${label}`, "") ? t(`label.${label}`, { n }) : `${n} ${label}`));
}
