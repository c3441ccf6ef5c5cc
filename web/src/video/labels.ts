/** The labels of detections: their colours and their names. */

import { list } from "../words";
import { t } from "../words/names";
import type { Detection } from "./wire";

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

export function isSure({ confidence }: Detection): boolean {
  return confidence >= SURE;
}

export function colourOf(label: string): string {
  return COLOURS.get(label) ?? OTHER;
}

export function nameOf(label: string): string {
  return t.or(`name.${label}`, label);
}

/** Counts of labels in words: "2 people, 1 face"; empty for none. */
export function countsInWords(counts: Iterable<[string, number]>): string {
  const parts = [...counts].filter(([, n]) => n > 0).map(([label, n]) => t.or(`label.${label}`, `${n} ${label}`, { n }));
  return list(parts);
}

/** The certain detections, counted and in words. */
export function summary(detections: Detection[]): string {
  const counts = new Map<string, number>();
  for (const { label } of detections.filter(isSure)) counts.set(label, (counts.get(label) ?? 0) + 1);
  return countsInWords(counts);
}
