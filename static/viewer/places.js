/** The zones and lines of a stream, drawn over its video. */

/**
 * @typedef {import("./wire.js").Zone} Zone
 * @typedef {import("./wire.js").Line} Line
 * @typedef {import("./boxes.js").Rectangle} Rectangle
 * @typedef {[number, number]} Point
 */

const COLOURS = { watch: "#7ee081", count: "#5cc8ff", ignore: "#b0b0b0" };
const LINE_COLOUR = "#ffd166";
const WIDTH = 2;
const TICK = 9;
const SHADE = "rgb(0 0 0 / 60%)";

/**
 * @param {CanvasRenderingContext2D} ink
 * @param {{zones: Zone[], lines: Line[]}} places
 * @param {Rectangle} area  of the frame
 */
export function drawPlaces(ink, { zones, lines }, area) {
  const at = (/** @type {Point} */ [x, y]) => /** @type {Point} */ ([area.left + x * area.width, area.top + y * area.height]);
  for (const zone of zones) {
    const colour = zone.color ?? COLOURS[zone.kind];
    const corners = zone.points.map(at);
    ink.setLineDash(zone.kind === "ignore" ? [2, 6] : [8, 4]);
    stroke(ink, [...corners, corners[0]], colour);
    ink.setLineDash([]);
    write(ink, zone.name, topOf(corners), colour);
  }
  for (const line of lines) drawLine(ink, line, line.points.map(at));
}

/** A line with a tick towards its side B. @param {CanvasRenderingContext2D} ink @param {Line} line @param {Point[]} ends */
function drawLine(ink, line, [start, end]) {
  const colour = line.color ?? LINE_COLOUR;
  stroke(ink, [start, end], colour);
  const [across, down] = [end[0] - start[0], end[1] - start[1]];
  const length = Math.hypot(across, down) || 1;
  /** @type {Point} */
  const middle = [(start[0] + end[0]) / 2, (start[1] + end[1]) / 2];
  const b = (/** @type {number} */ far) =>
    /** @type {Point} */ ([middle[0] - (down / length) * far, middle[1] + (across / length) * far]);
  stroke(ink, [middle, b(TICK)], colour);
  write(ink, line.name, start, colour);
  const [a, other] = line.sides;
  if (a !== "A") write(ink, a, b(-2 * TICK), colour);
  if (other !== "B") write(ink, other, b(3 * TICK), colour);
}

/** @param {Point[]} points @returns {Point} the highest of them */
function topOf(points) {
  return points.reduce((best, point) => (point[1] < best[1] ? point : best));
}

/** @param {CanvasRenderingContext2D} ink @param {Point[]} points @param {string} colour */
function stroke(ink, points, colour) {
  ink.beginPath();
  points.forEach(([x, y], index) => (index ? ink.lineTo(x, y) : ink.moveTo(x, y)));
  for (const [style, width] of /** @type {[string, number][]} */ ([[SHADE, WIDTH + 2], [colour, WIDTH]])) {
    ink.strokeStyle = style;
    ink.lineWidth = width;
    ink.stroke();
  }
}

/** @param {CanvasRenderingContext2D} ink @param {string} text @param {Point} place @param {string} colour */
function write(ink, text, [x, y], colour) {
  if (!text) return;
  ink.font = "600 12px system-ui, sans-serif";
  ink.textBaseline = "top";
  ink.lineWidth = 3;
  ink.strokeStyle = SHADE;
  ink.strokeText(text, x + 4, y + 4);
  ink.fillStyle = colour;
  ink.fillText(text, x + 4, y + 4);
}
