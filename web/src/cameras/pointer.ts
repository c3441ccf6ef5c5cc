/** Dragging, and points for SVG. */

import { useRef } from "preact/hooks";
import type { Point } from "./model";

/** Pointer handlers that follow a drag by mouse, pen or finger. */
export function useDrag(onDrag: (from: Point, to: Point) => void, pointOf: (event: PointerEvent) => Point) {
  const last = useRef<Point | null>(null);
  return {
    onPointerDown(event: PointerEvent) {
      (event.currentTarget as Element).setPointerCapture(event.pointerId);
      last.current = pointOf(event);
    },
    onPointerMove(event: PointerEvent) {
      if (!last.current) return;
      const to = pointOf(event);
      onDrag(last.current, to);
      last.current = to;
    },
    onPointerUp() {
      last.current = null;
    },
    onPointerCancel() {
      last.current = null;
    },
  };
}

export function svgPoints(points: readonly Point[], width: number, height: number): string {
  return points.map(([x, y]) => `${x * width},${y * height}`).join(" ");
}
