/** Zones and lines over the picture. */

import type { JSX } from "preact";
import { acrossOf, centre, changed, movedBy, type PlaceRef, same } from "./geometry";
import type { Line, Point, Zone } from "./model";
import { svgPoints, useDrag } from "./pointer";
import type { StageProps } from "./stage";

const ARROW = 26; // pixels
const NAME_AT = 0.2;

export type PartProps = StageProps & {
  of: PlaceRef;
  size: [number, number];
  pointOf: (event: PointerEvent) => Point;
};

/** One zone or line, without its corners. */
export function Shape(props: PartProps & { place: Zone | Line }): JSX.Element {
  const { place, of, size, selected, occupied, drawing, onSelect, places, onChange, pointOf } = props;
  const [width, height] = size;
  const drag = useDrag((from, to) => {
    onChange(changed(places, of, { points: movedBy(place.points, to[0] - from[0], to[1] - from[1]) } as Partial<Zone>));
  }, pointOf);
  const isZone = of.type === "zone";
  const classes = ["place-shape", isZone ? (place as Zone).kind : "line"];
  if (same(selected, of)) classes.push("chosen");
  if (occupied(of)) classes.push("occupied");
  const [x, y] = isZone ? centre(place.points) : along(place as Line, NAME_AT);
  const handlers = drawing
    ? {}
    : {
        ...drag,
        onPointerDown: (event: PointerEvent) => {
          onSelect(of);
          drag.onPointerDown(event);
        },
      };
  return (
    <g class={classes.join(" ")} style={{ color: place.color ?? "#ff8800" }}>
      {isZone ? (
        <polygon points={svgPoints(place.points, width, height)} {...handlers} />
      ) : (
        <>
          <polyline points={svgPoints(place.points, width, height)} {...handlers} class="place-grip" />
          <polyline points={svgPoints(place.points, width, height)} />
          <Arrows line={place as Line} size={size} />
        </>
      )}
      <text x={x * width} y={y * height + (isZone ? 0 : -8)}>{place.name}</text>
    </g>
  );
}

/** A point on a line; its middle has the arrow. */
function along({ points: [[x1, y1], [x2, y2]] }: Line, share: number): Point {
  return [x1 + (x2 - x1) * share, y1 + (y2 - y1) * share];
}

/** Which crossings of a line are reported, and what its sides are called. */
function Arrows({ line, size: [width, height] }: { line: Line; size: [number, number] }): JSX.Element {
  const [x, y] = centre(line.points);
  const [ax, ay] = acrossOf(line.points, width, height);
  const tip = (way: number): JSX.Element => {
    const end: Point = [x * width + ax * ARROW * way, y * height + ay * ARROW * way];
    const back = (side: number): string =>
      `${end[0] - (ax * way + ay * side) * 8},${end[1] - (ay * way - ax * side) * 8}`;
    return (
      <g class="place-arrow">
        <polyline points={`${x * width},${y * height} ${end.join(",")}`} />
        <polyline points={`${back(1)} ${end.join(",")} ${back(-1)}`} />
      </g>
    );
  };
  const name = (side: 0 | 1): JSX.Element => {
    const way = side === 0 ? -1 : 1;
    return (
      <text class="place-side" x={x * width + ax * (ARROW + 16) * way} y={y * height + ay * (ARROW + 16) * way + 4}>
        {line.sides[side]}
      </text>
    );
  };
  return (
    <>
      {line.direction !== "b_to_a" && tip(1)}
      {line.direction !== "a_to_b" && tip(-1)}
      {name(0)}
      {name(1)}
    </>
  );
}
