/** Sorts the rows of a table by one of its columns. */

export interface Column<Row> {
  readonly title: string;
  readonly unit?: string;
  readonly isNumber?: boolean;
  /** The sort key. Numbers sort from the largest by default. */
  readonly value: (row: Row) => number | string;
  readonly text: (row: Row) => string;
}

export type Columns<Name extends string, Row> = Readonly<Record<Name, Column<Row>>>;

export interface Order<Name extends string> {
  readonly by: Name;
  readonly isReversed: boolean;
}

/** Returns the order after a press on a column heading: by that column, then reversed, then unsorted again. */
export function nextOrder<Name extends string>(order: Order<Name> | undefined, by: Name): Order<Name> | undefined {
  if (order?.by !== by) return { by, isReversed: false };
  return order.isReversed ? undefined : { by, isReversed: true };
}

/** Whether the smallest number or the first text comes first. */
export function isAscending<Name extends string, Row>(
  columns: Columns<Name, Row>,
  { by, isReversed }: Order<Name>,
): boolean {
  return (columns[by].isNumber ?? false) === isReversed;
}

/** Sorts the rows; the sort is stable. */
export function inOrder<Name extends string, Row>(
  columns: Columns<Name, Row>,
  rows: readonly Row[],
  order: Order<Name> | undefined,
): readonly Row[] {
  if (order === undefined) return rows;
  const { value } = columns[order.by];
  const sign = isAscending(columns, order) ? 1 : -1;
  return [...rows].sort((a, b) => {
    const [first, second] = [value(a), value(b)];
    return first === second ? 0 : first < second ? -sign : sign;
  });
}
