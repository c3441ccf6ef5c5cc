/** The zones and lines of a stream, drawn over its video. */

import type { Rectangle } from "./boxes";
import type { Line, Places, Point } from "./wire";

const COLOURS = { watch: "#7ee081", count: "#5cc8ff", ignore: "#b0b0b0" };
const LINE_COLOUR = "#ffd166";
const WIDTH = 2;
const TICK = 9;
const SHADE = "rgb(0 0 0 / 60%)";

/** `area`: of the frame. */
export function drawPlaces(ink: CanvasRenderingContext2D, { zones, lines }: Places, area: Rectangle): void {
  const at = ([x, y]: Point): Point => [area.left + x * area.width, area.top + y * area.height];
  for (const zone of zones) {
    const colour = zone.color ?? COLOURS[zone.kind];
    const corners = zone.points.map(at);
    ink.setLineDash(zone.kind === "ignore" ? [2, 6] : [8, 4]);
    stroke(ink, [...corners, corners[0]!], colour);
    ink.setLineDash([]);
    write(ink, zone.name, topOf(corners), colour);
  }
  for (const line of lines) drawLine(ink, line, at(line.points[0]), at(line.points[1]));
}

/** A line with a tick towards its side B. */
function drawLine(ink: CanvasRenderingContext2D, line: Line, start: Point, end: Point): void {
  const colour = line.color ?? LINE_COLOUR;
  stroke(ink, [start, end], colour);
  const [across, down] = [end[0] - start[0], end[1] - start[1]];
  const length = Math.hypot(across, down) || 1;
  const middle: Point = [(start[0] + end[0]) / 2, (start[1] + end[1]) / 2];
  const towardsB = (far: number): Point => [middle[0] - (down / length) * far, middle[1] + (across / length) * far];
  stroke(ink, [middle, towardsB(TICK)], colour);
  write(ink, line.name, start, colour);
  const [a, b] = line.sides;
  if (a !== "A") write(ink, a, towardsB(-2 * TICK), colour);
  if (b !== "B") write(ink, b, towardsB(3 * TICK), colour);
}

function topOf(points: Point[]): Point {
  return points.reduce((best, point) => (point[1] < best[1] ? point : best));
}

function stroke(ink: CanvasRenderingContext2D, points: Point[], colour: string): void {
  ink.beginPath();
  points.forEach(([x, y], index) => (index ? ink.lineTo(x, y) : ink.moveTo(x, y)));
  for (const [style, width] of [[SHADE, WIDTH + 2], [colour, WIDTH]] as const) {
    ink.strokeStyle = style;
    ink.lineWidth = width;
    ink.stroke();
  }
}

function write(ink: CanvasRenderingContext2D, text: string, [x, y]: Point, colour: string): void {
  if (!text) return;
  ink.font = "600 12px system-ui, sans-serif";
  ink.textBaseline = "top";
  ink.lineWidth = 3;
  ink.strokeStyle = SHADE;
  ink.strokeText(text, x + 4, y + 4);
  ink.fillStyle = colour;
  ink.fillText(text, x + 4, y + 4);
}
