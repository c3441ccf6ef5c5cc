/** Bars that compare values with a whole; drawn as SVG, since a page without inline styles has no widths. */

import type { JSX } from "preact";
import type { Tone } from "./feedback";

interface BarProps {
  /** What it measures, for screen readers. */
  label: string;
  /** 0 to 1. */
  share: number;
  /** A line across, such as a limit; 0 to 1. */
  mark?: number;
  tone?: Tone;
}

export function Bar({ label, share, mark, tone }: BarProps): JSX.Element {
  const width = 100 * Math.min(1, Math.max(0, share));
  return (
    <svg class="bar" data-tone={tone} viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label={`${label}: ${Math.round(width)} %`}>
      <rect class="bar-whole" width="100" height="8" />
      <rect class="bar-part" width={width} height="8" />
      {mark !== undefined && <rect class="bar-mark" x={100 * mark - 0.3} width="0.6" height="8" />}
    </svg>
  );
}

export interface BarRow {
  name: string;
  value: number;
  /** The value in words. */
  text: string;
}

/** Named values, each with a bar as its share of `most`. */
export function Bars({ label, rows, most }: { label: string; rows: readonly BarRow[]; most: number }): JSX.Element {
  return (
    <ul class="bars" aria-label={label}>
      {rows.map(({ name, value, text }) => (
        <li key={name}>
          <span>{name}</span>
          <span class="quiet-text">{text}</span>
          <svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
            <rect class="bar-whole" width="100" height="8" />
            <rect class="bar-part" width={most > 0 ? (100 * value) / most : 0} height="8" />
          </svg>
        </li>
      ))}
    </ul>
  );
}

export interface ColumnChartProps {
  label: string;
  /** From left to right. */
  columns: readonly { name: string; value: number }[];
  /** Every how many columns a name stands below. */
  every: number;
}

const HEIGHT = 96;
const STEP = 10;

/** Values over time as columns; each says its value when pointed at, and a table says them all. */
export function ColumnChart({ label, columns, every }: ColumnChartProps): JSX.Element {
  const most = Math.max(1, ...columns.map(({ value }) => value));
  return (
    <figure class="chart">
      <svg viewBox={`0 0 ${Math.max(1, columns.length) * STEP} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
        {columns.map(({ name, value }, index) => {
          const height = (value / most) * (HEIGHT - 2);
          return (
            <g key={name}>
              <rect class="chart-room" x={index * STEP} width={STEP} height={HEIGHT}>
                <title>{`${name}: ${value}`}</title>
              </rect>
              <rect class="chart-column" x={index * STEP + 1} y={HEIGHT - height} width={STEP - 2} height={height}>
                <title>{`${name}: ${value}`}</title>
              </rect>
            </g>
          );
        })}
      </svg>
      <div class="chart-names" aria-hidden="true">
        {columns.map(({ name }, index) => (
          <span key={name}>{index % every === 0 ? name : ""}</span>
        ))}
      </div>
      <table class="unseen">
        <caption>{label}</caption>
        <tbody>
          {columns.map(({ name, value }) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td>{value}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </figure>
  );
}
