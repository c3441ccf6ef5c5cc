/** The corners of a zone, or the ends of a line: dragged, or moved with the arrow keys. */

import type { JSX } from "preact";
import { percent } from "../words";
import { t } from "../words/places";
import { changed, middle, MOST_POINTS, movedPoint, placeOf, withMiddle, withoutPoint } from "./geometry";
import type { Point, Zone } from "./model";
import { useDrag } from "./pointer";
import type { PartProps } from "./stage_shapes";

const STEP = 0.005;
const LARGE_STEP = 0.05;
const STEPS: Record<string, Point> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

/** The corners of the selected zone or line: dragged, or moved with the arrow keys. */
export function Handles(props: PartProps): JSX.Element | null {
  const { places, of, size, onChange, pointOf } = props;
  const place = placeOf(places, of);
  if (!place) return null;
  const [width, height] = size;
  const isZone = of.type === "zone";
  const put = (points: Point[]) => onChange(changed(places, of, { points } as Partial<Zone>));
  return (
    <g class="place-handles">
      {isZone &&
        place.points.length < MOST_POINTS &&
        place.points.map((_, index) => {
          const [x, y] = middle(place.points, index);
          return (
            <circle
              key={`middle-${index}`}
              class="place-middle"
              cx={x * width}
              cy={y * height}
              r={5}
              onClick={(event) => event.stopPropagation()}
              onPointerDown={() => put(withMiddle(place.points, index))}
            >
              <title>{t("add_corner")}</title>
            </circle>
          );
        })}
      {place.points.map((point, index) => (
        <Handle
          key={index}
          point={point}
          size={size}
          label={t("corner", {
            number: index + 1,
            name: place.name || t(isZone ? "zone" : "line"),
            x: percent(point[0]),
            y: percent(point[1]),
          })}
          pointOf={pointOf}
          onMove={(to) => put(movedPoint(place.points, index, to))}
          onInsert={isZone ? () => put(withMiddle(place.points, index)) : undefined}
          onRemove={isZone ? () => put(withoutPoint(place.points, index)) : undefined}
        />
      ))}
    </g>
  );
}

function Handle(props: {
  point: Point;
  size: [number, number];
  label: string;
  pointOf: (event: PointerEvent) => Point;
  onMove: (to: Point) => void;
  onInsert?: () => void;
  onRemove?: () => void;
}): JSX.Element {
  const { point, size, label, pointOf, onMove, onInsert, onRemove } = props;
  const drag = useDrag((_, to) => onMove(to), pointOf);
  const onKeyDown = (event: KeyboardEvent) => {
    const step = STEPS[event.key];
    if (step) {
      const length = event.shiftKey ? LARGE_STEP : STEP;
      onMove([point[0] + step[0] * length, point[1] + step[1] * length]);
    } else if (event.key === "Insert" || event.key === "+") onInsert?.();
    else if (event.key === "Delete" || event.key === "Backspace") onRemove?.();
    else return;
    event.preventDefault();
  };
  return (
    <g
      class="place-handle"
      role="button"
      tabindex={0}
      aria-label={label}
      onKeyDown={onKeyDown}
      onClick={(event) => event.stopPropagation()}
      {...drag}
    >
      <circle class="place-touch" cx={point[0] * size[0]} cy={point[1] * size[1]} r={18} />
      <circle cx={point[0] * size[0]} cy={point[1] * size[1]} r={7} />
    </g>
  );
}
