/** The live picture with zones and lines over it, which can be drawn and moved. */

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { at } from "../api/client";
import { t } from "../words/places";
import { inside, type PlaceRef } from "./geometry";
import type { Places, Point } from "./model";
import { svgPoints } from "./pointer";
import { Handles } from "./stage_handles";
import { Shape } from "./stage_shapes";

const NEAR = 14; // pixels

export interface StageProps {
  /** Changes when the picture has to be asked for again. */
  picture: string;
  places: Places;
  selected: PlaceRef | null;
  /** Zones and lines in which something is now, or just was. */
  occupied: (ref: PlaceRef) => boolean;
  /** The corners that were clicked so far; null while nothing is drawn. */
  drawing: readonly Point[] | null;
  onSelect: (ref: PlaceRef | null) => void;
  onChange: (places: Places) => void;
  /** A place in the picture was clicked while drawing; `meets` says whether that is at another point. */
  onPoint: (point: Point, meets: (other: Point | undefined) => boolean) => void;
  onFinish: () => void;
}

export function Stage(props: StageProps): JSX.Element {
  const { picture, places, selected, drawing, onSelect, onPoint, onFinish } = props;
  const frame = useRef<HTMLDivElement>(null);
  const [width, height] = useSize(frame);
  const [failed, setFailed] = useState(false);
  const [pointer, setPointer] = useState<Point | null>(null);
  const image = useRef<HTMLImageElement>(null);
  useEffect(() => {
    setFailed(false);
    const shown = image.current;
    return () => shown?.removeAttribute("src"); // else the browser goes on loading an endless picture
  }, [picture]);

  const pointOf = (event: { clientX: number; clientY: number }): Point => {
    const box = frame.current!.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  };
  const onClick = (event: MouseEvent) => {
    if (drawing) {
      const point = inside(pointOf(event));
      onPoint(point, (other) => other !== undefined && isNear(other, point, width, height));
    } else if (event.target === event.currentTarget) onSelect(null);
  };

  return (
    <div class={`place-stage${drawing ? " place-drawing" : ""}`} ref={frame}>
      {failed ? (
        <p class="place-none">{t("no_picture")}</p>
      ) : (
        <img key={picture} ref={image} src={at(picture).href} alt={t("picture")} onError={() => setFailed(true)} draggable={false} />
      )}
      <svg
        class="place-shapes"
        width={width}
        height={height}
        role="group"
        aria-label={t("places")}
        onClick={onClick}
        onDblClick={() => drawing && onFinish()}
        onPointerMove={(event) => drawing && setPointer(pointOf(event))}
      >
        {places.zones.map((zone, index) => (
          <Shape key={`zone-${index}`} {...props} place={zone} of={{ type: "zone", index }} size={[width, height]} pointOf={pointOf} />
        ))}
        {places.lines.map((line, index) => (
          <Shape key={`line-${index}`} {...props} place={line} of={{ type: "line", index }} size={[width, height]} pointOf={pointOf} />
        ))}
        {selected && !drawing && <Handles {...props} of={selected} size={[width, height]} pointOf={pointOf} />}
        {drawing && (
          <g class="place-new">
            <polyline points={svgPoints([...drawing, ...(pointer ? [pointer] : [])], width, height)} />
            {drawing.map(([x, y], index) => (
              <circle key={index} cx={x * width} cy={y * height} r={5} />
            ))}
          </g>
        )}
      </svg>
    </div>
  );
}

function useSize(ref: { current: HTMLElement | null }): [number, number] {
  const [size, setSize] = useState<[number, number]>([0, 0]);
  useEffect(() => {
    const element = ref.current!;
    const observer = new ResizeObserver(() => setSize([element.clientWidth, element.clientHeight]));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return size;
}

function isNear(one: Point, other: Point, width: number, height: number): boolean {
  return Math.hypot((one[0] - other[0]) * width, (one[1] - other[1]) * height) < NEAR;
}
