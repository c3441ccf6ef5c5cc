/** What the server counts in zones and on lines, now and today. */

import type { JSX } from "preact";
import { t } from "../words/places";
import type { PlaceRef } from "./geometry";
import type { PlaceCounts, Places, Zone } from "./model";

const total = (counts: Record<string, number>): number => Object.values(counts).reduce((sum, one) => sum + one, 0);

/** Whether the rule `objects` counts what is in a zone. */
export const isCounted = ({ kind, rules = [] }: Zone): boolean =>
  kind !== "ignore" && (rules.length === 0 || rules.includes("objects"));

/** The counts of a zone: the server lists those that the rule counts in, in their order. */
function zoneCount(counts: PlaceCounts, places: Places, index: number): PlaceCounts["zones"][number] | undefined {
  if (!places.zones[index] || !isCounted(places.zones[index])) return undefined;
  return counts.zones[places.zones.slice(0, index).filter(isCounted).length];
}

/** Whether something is in a zone now. */
export function occupiedBy(counts: PlaceCounts | undefined, places: Places, ref: PlaceRef): boolean {
  const zone = counts && ref.type === "zone" ? zoneCount(counts, places, ref.index) : undefined;
  return zone !== undefined && total(zone.now) > 0;
}

export function PlaceCount({ counts, of, places }: {
  counts: PlaceCounts | undefined;
  of: PlaceRef;
  places: Places;
}): JSX.Element | null {
  if (!counts) return null;
  if (of.type === "line") {
    const line = counts.lines[of.index];
    const [a, b] = places.lines[of.index]?.sides ?? ["A", "B"];
    if (!line) return null;
    return (
      <span class="places-count">
        {t("crossed", { a, b, there: total(line.today.a_to_b), back: total(line.today.b_to_a) })}
      </span>
    );
  }
  const zone = zoneCount(counts, places, of.index);
  if (!zone) return null;
  const now = total(zone.now);
  return (
    <span class={`places-count${now > 0 ? " occupied" : ""}`}>
      {t("inside", { now, today: total(zone.today) })}
    </span>
  );
}
