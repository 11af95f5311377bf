/** The row of a table behind a sample: its cells as a person knows them, and the way back to what a model sees. */
import { sampleSize } from '@lockstep/data';
import type { Run } from './run-store.ts';

export type TableColumn = NonNullable<Run['columns']>[number];

export interface TableCell {
  readonly name: string;
  readonly text: string;
}

interface TableRun extends Pick<Run, 'columns'> {
  readonly sampleShape: readonly number[];
}

/** The columns of a table's row, if the page knows every one of them. */
export function allColumns(run: TableRun | undefined): readonly TableColumn[] | undefined {
  const { columns } = run ?? {};
  return columns && run && widthOf(columns) === sampleSize(run) ? columns : undefined;
}

/** Values of a sample that columns stand for. */
function widthOf(columns: readonly TableColumn[]): number {
  return columns.reduce((sum, column) => sum + valuesOf(column), 0);
}

function valuesOf(column: TableColumn): number {
  return column.type === 'number' ? 1 : column.categories.length;
}

/** @param sample as a model sees it: numbers standardized, categories as zeros and a one */
export function cellsOf(columns: readonly TableColumn[], sample: ArrayLike<number>): TableCell[] {
  let at = 0;
  return columns.map((column) => {
    const first = at;
    at += valuesOf(column);
    if (column.type === 'number') return { name: column.name, text: rawNumber(sample[first]!, column) };
    const position = column.categories.findIndex((_, index) => sample[first + index] === 1);
    return { name: column.name, text: column.categories[position] ?? '–' };
  });
}

/** Decimals that are tried: enough for columns whose numbers differ by 1e-20. */
const mostDecimals = 30;

/** The number with the fewest decimals that becomes `value` when it is standardized: the one in the table, if that has few. */
function rawNumber(value: number, { mean, deviation }: { readonly mean: number; readonly deviation: number }): string {
  const raw = value * deviation + mean;
  for (let decimals = 0; decimals <= mostDecimals; decimals++) {
    const rounded = Number(raw.toFixed(decimals));
    if (Math.fround((rounded - mean) / deviation) === value) return `${rounded}`;
  }
  return `${raw}`;
}

/**
 * The sample of a row, or undefined if one of its numbers is none that a model can see.
 * @param row for each column the number, or the position of the category
 */
export function sampleOfRow(
  columns: readonly TableColumn[],
  row: readonly number[],
): Float32Array<ArrayBuffer> | undefined {
  const sample = new Float32Array(widthOf(columns));
  let at = 0;
  for (const [index, column] of columns.entries()) {
    const given = row[index]!;
    if (column.type === 'number') sample[at] = (given - column.mean) / column.deviation;
    else sample[at + given] = 1;
    at += valuesOf(column);
  }
  return sample.every(Number.isFinite) ? sample : undefined;
}
