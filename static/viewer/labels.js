/** The labels of detections in words. */

import { isSure } from "./detections.js";
import { list, t, textOr } from "./i18n.js";

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
