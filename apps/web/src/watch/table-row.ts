/** The row of a table behind a sample: its cells as a person knows them, and the way back to what a model sees. */
import { type Standardization, sampleSize } from '@lockstep/data';
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

/** The number that becomes `value` when it is standardized: the one in the table, if that has few decimals. */
function rawNumber(value: number, { mean, deviation }: Standardization): string {
  return shortest(value * deviation + mean, (raw) => Math.fround((raw - mean) / deviation) === value);
}

/** Part of a number that float32 may round off on the way to standardized values and back. */
const roundedOff = 2 ** -23;

/** A target in its unit, as the table has it, which was rounded to float32 as a standardized value. */
export function rawTarget(value: number, { mean, deviation }: Standardization = { mean: 0, deviation: 0 }): string {
  const tolerance = roundedOff * (Math.abs(mean) + deviation + Math.abs(value));
  return shortest(value, (raw) => Math.abs(raw - value) <= tolerance);
}

/** Decimals that are tried: enough for columns whose numbers differ by 1e-20. */
const mostDecimals = 30;

/** The number with the fewest decimals that is as good as `exact`. */
function shortest(exact: number, isAsGood: (value: number) => boolean): string {
  for (let decimals = 0; decimals <= mostDecimals; decimals++) {
    const rounded = Number(exact.toFixed(decimals));
    if (isAsGood(rounded)) return `${rounded}`;
  }
  return `${exact}`;
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
