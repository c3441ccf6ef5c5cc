/** The labels of detections in words. */

import { isSure } from "../../../static/viewer/detections.js";
import { list } from "../words";
import { t } from "../words/names";
import type { Detection } from "./wire";

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
