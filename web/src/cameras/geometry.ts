/** Points of zones and lines: shares of the picture's width and height. */

import type { Line, Places, Point, Zone } from "./model";

export const MOST_POINTS = 64;
export const LEAST_POINTS = 3;

/** Which zone or line; for zones and lines apart, as the server lists them. */
export interface PlaceRef {
  type: "zone" | "line";
  index: number;
}

export const same = (one: PlaceRef | null, other: PlaceRef | null): boolean =>
  one !== null && other !== null && one.type === other.type && one.index === other.index;

/** A text that is equal for equal places, whatever the order of their fields. */
export function fingerprint({ zones, lines }: Places): string {
  return JSON.stringify([
    zones.map((zone) => [zone.kind, zone.name, zone.points, zone.color, zone.labels ?? [], zone.rules ?? []]),
    lines.map((line) => [line.name, line.points, line.sides, line.direction, line.color, line.labels ?? []]),
  ]);
}

export function placeOf(places: Places, ref: PlaceRef): Zone | Line | undefined {
  return ref.type === "zone" ? places.zones[ref.index] : places.lines[ref.index];
}

export function changed(places: Places, ref: PlaceRef, change: Partial<Zone> | Partial<Line>): Places {
  const replace = <T>(all: T[]): T[] => all.map((one, index) => (index === ref.index ? { ...one, ...change } : one));
  return ref.type === "zone"
    ? { ...places, zones: replace(places.zones) }
    : { ...places, lines: replace(places.lines) };
}

export function removed(places: Places, ref: PlaceRef): Places {
  const without = <T>(all: T[]): T[] => all.filter((_, index) => index !== ref.index);
  return ref.type === "zone"
    ? { ...places, zones: without(places.zones) }
    : { ...places, lines: without(places.lines) };
}

const share = (value: number): number => Math.round(Math.min(1, Math.max(0, value)) * 10_000) / 10_000;

/** A point inside the picture. */
export const inside = ([x, y]: Point): Point => [share(x), share(y)];

export function movedPoint(points: Point[], index: number, to: Point): Point[] {
  return points.map((point, at) => (at === index ? inside(to) : point));
}

/** All points moved; it stops at the edge of the picture and keeps its shape. */
export function movedBy(points: Point[], dx: number, dy: number): Point[] {
  const limit = (delta: number, values: number[]): number =>
    Math.min(1 - Math.max(...values), Math.max(-Math.min(...values), delta));
  const x = limit(dx, points.map((point) => point[0]));
  const y = limit(dy, points.map((point) => point[1]));
  return points.map((point) => inside([point[0] + x, point[1] + y]));
}

/** With another point in the middle of the edge that follows the point `after`. */
export function withMiddle(points: Point[], after: number): Point[] {
  if (points.length >= MOST_POINTS) return points;
  return [...points.slice(0, after + 1), middle(points, after), ...points.slice(after + 1)];
}

export function middle(points: Point[], after: number): Point {
  const one = points[after]!;
  const next = points[(after + 1) % points.length]!;
  return inside([(one[0] + next[0]) / 2, (one[1] + next[1]) / 2]);
}

export function withoutPoint(points: Point[], index: number): Point[] {
  return points.length > LEAST_POINTS ? points.filter((_, at) => at !== index) : points;
}

export function centre(points: readonly Point[]): Point {
  const sum = (axis: 0 | 1): number => points.reduce((total, point) => total + point[axis], 0);
  return [sum(0) / points.length, sum(1) / points.length];
}

/**
 * The unit vector from side A to side B of a line, in pixels of a picture of this size.
 *
 * Side A is on the left hand of somebody who walks from the first point to the second.
 */
export function acrossOf(points: readonly [Point, Point], width: number, height: number): Point {
  const [[x1, y1], [x2, y2]] = points;
  const dx = (x2 - x1) * width;
  const dy = (y2 - y1) * height;
  const length = Math.hypot(dx, dy) || 1;
  return [-dy / length, dx / length];
}
