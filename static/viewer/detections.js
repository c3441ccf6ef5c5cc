/** Detections: their colours, and which of them are certain. The control room has them from here, too. */

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
