import type { ComponentChildren, JSX } from "preact";

export interface Column<Row> {
  name: string;
  title: string;
  cell: (row: Row) => ComponentChildren;
  /** Numbers are aligned to the right. */
  numeric?: boolean;
  /** Left out on a phone. */
  wide?: boolean;
  /** The title is for screen readers only, such as above buttons. */
  titleHidden?: boolean;
}

export interface TableProps<Row> {
  /** What the table lists, for screen readers. */
  label: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  keyOf: (row: Row) => string | number;
  /** Shown instead of no rows. */
  empty?: ComponentChildren;
}

export function Table<Row>(props: TableProps<Row>): JSX.Element {
  const { label, columns, rows, keyOf, empty } = props;
  if (rows.length === 0 && empty) return <>{empty}</>;
  const classOf = ({ numeric, wide }: Column<Row>) => [numeric && "numeric", wide && "wide"].filter(Boolean).join(" ");
  return (
    <div class="table-scroll" role="region" aria-label={label} tabIndex={0}>
      <table class="table">
        <caption class="unseen">{label}</caption>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column.name} scope="col" class={classOf(column)}>
                <span class={column.titleHidden ? "unseen" : undefined}>{column.title}</span>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={keyOf(row)}>
              {columns.map((column) => (
                <td key={column.name} class={classOf(column)}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
