/** A table that sorts by its columns, wraps long texts, and keeps its headings in view while it scrolls. */
import { useSignal } from '@preact/signals';
import type { ComponentChildren, HTMLAttributes, RefObject } from 'preact';
import { ScrollRegion } from '../look/controls.tsx';

export interface ViewColumn<Row> {
  readonly title: string;
  readonly unit?: string;
  readonly isNumber?: boolean;
  /** The sort key. Numbers sort from the largest by default. Without a key, the heading is plain text. */
  readonly value?: (row: Row) => number | string;
  readonly text: (row: Row) => string;
  /** The content of a cell, if it is more than its text. */
  readonly cell?: (row: Row) => ComponentChildren;
  readonly class?: string;
}

/** Returns a column of texts, which it sorts by. */
export function textColumn<Row>(title: string, text: (row: Row) => string): ViewColumn<Row> {
  return { title, value: text, text };
}

/** Returns a column of numbers; unknown ones sort as the smallest. */
export function numberColumn<Row>(
  title: string,
  numberOf: (row: Row) => number | null | undefined,
  format: (value: number) => string,
): ViewColumn<Row> {
  const value = (row: Row): number => numberOf(row) ?? Number.NEGATIVE_INFINITY;
  const text = (row: Row): string => (value(row) === Number.NEGATIVE_INFINITY ? '–' : format(value(row)));
  return { title, isNumber: true, value, text };
}

export interface Order {
  /** Title of the column. */
  readonly by: string;
  readonly isReversed: boolean;
}

interface TableProps<Row> {
  /** Name of the region that scrolls. */
  readonly label: string;
  readonly columns: readonly ViewColumn<Row>[];
  readonly rows: readonly Row[];
  /** By default, a row is known by its index, and the table cannot be sorted. */
  readonly keyOf?: (row: Row) => string | number;
  /** Whether the first cell of each row is its heading, which stays in view. */
  readonly hasRowHeadings?: boolean;
  readonly rowProps?: (row: Row) => HTMLAttributes<HTMLTableRowElement>;
  /** Classes of the table. */
  readonly class?: string;
  /** Classes of the region that scrolls. */
  readonly regionClass?: string;
  readonly region?: RefObject<HTMLElement | null>;
  /** Content below the rows, such as what an empty table means. */
  readonly children?: ComponentChildren;
}

export function DataTable<Row>(props: TableProps<Row>) {
  const { label, columns, rows, keyOf, hasRowHeadings = false, rowProps, children } = props;
  const order = useSignal<Order | undefined>(undefined);
  const classes = columns.map((column) => classOf(column, rows));
  return (
    <ScrollRegion label={label} class={props.regionClass ?? ''} region={props.region}>
      <table class={`table ${props.class ?? ''}`}>
        <thead>
          <tr>
            {columns.map((column, index) => (
              <Heading
                key={index}
                column={column}
                className={classes[index]!}
                order={order.value}
                onPress={() => {
                  order.value = nextOrder(order.value, column.title);
                }}
              />
            ))}
          </tr>
        </thead>
        <tbody>
          {sortedRows(columns, rows, order.value).map((row, index) => (
            <tr key={keyOf?.(row) ?? index} {...rowProps?.(row)}>
              {columns.map((column, at) => {
                const content = column.cell?.(row) ?? column.text(row);
                return hasRowHeadings && at === 0 ? (
                  <th key={at} scope="row" class={classes[at]} title={column.text(row)}>
                    {content}
                  </th>
                ) : (
                  <td key={at} class={classes[at]} dir={column.cell ? undefined : 'auto'}>
                    {content}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
      {children}
    </ScrollRegion>
  );
}

interface HeadingProps<Row> {
  readonly column: ViewColumn<Row>;
  readonly className: string;
  readonly order: Order | undefined;
  readonly onPress: () => void;
}

function Heading<Row>({ column, className, order, onPress }: HeadingProps<Row>) {
  const { title, unit, value } = column;
  const direction =
    order?.by === title ? (isAscending(column, order.isReversed) ? 'ascending' : 'descending') : undefined;
  const name = (
    <>
      {title}
      {unit && <small> {unit}</small>}
    </>
  );
  return (
    <th scope="col" class={className} aria-sort={direction} dir={value ? undefined : 'auto'}>
      {value ? (
        <button type="button" class="column-title" onClick={onPress}>
          {name}
          <span class={`order ${direction ?? ''}`} aria-hidden="true" />
        </button>
      ) : (
        name
      )}
    </th>
  );
}

/** Maximum length of a text that stays on one line, in characters. */
const mostUnbroken = 12;

function classOf<Row>({ isNumber, text, class: own = '' }: ViewColumn<Row>, rows: readonly Row[]): string {
  const isShort = isNumber || rows.every((row) => text(row).length <= mostUnbroken);
  return `${own} ${isNumber ? 'number' : ''} ${isShort ? 'short' : ''}`;
}

/** Returns the order after a press on a column heading: by that column, then reversed, then unsorted again. */
export function nextOrder(order: Order | undefined, by: string): Order | undefined {
  if (order?.by !== by) return { by, isReversed: false };
  return order.isReversed ? undefined : { by, isReversed: true };
}

/** Whether the smallest number or the first text comes first. */
function isAscending<Row>({ isNumber = false }: ViewColumn<Row>, isReversed: boolean): boolean {
  return isNumber === isReversed;
}

/** Sorts the rows; the sort is stable. */
export function sortedRows<Row>(
  columns: readonly ViewColumn<Row>[],
  rows: readonly Row[],
  order: Order | undefined,
): readonly Row[] {
  const column = columns.find(({ title }) => title === order?.by);
  if (!order || !column?.value) return rows;
  const { value } = column;
  const sign = isAscending(column, order.isReversed) ? 1 : -1;
  return [...rows].sort((a, b) => {
    const [first, second] = [value(a), value(b)];
    return first === second ? 0 : first < second ? -sign : sign;
  });
}
