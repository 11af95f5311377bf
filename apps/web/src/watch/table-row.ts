/** Converts between a row of a table, with the cells that a person knows, and the sample that a model sees. */

import { type SampleField, type Standardization, sizeOfField } from '@lockstep/data';
import type { RunMessage } from '@lockstep/protocol';

export type TableColumn = NonNullable<RunMessage['columns']>[number];

export interface TableCell {
  readonly name: string;
  readonly text: string;
}

interface TableRun extends Pick<RunMessage, 'columns'> {
  readonly sampleField: Pick<SampleField, 'shape'>;
}

/** The columns of a table's row, if the page knows all of them. */
export function allColumns(run: TableRun | undefined): readonly TableColumn[] | undefined {
  const { columns } = run ?? {};
  return columns && run && widthOf(columns) === sizeOfField(run.sampleField) ? columns : undefined;
}

/** Number of values in a sample that the columns stand for. */
function widthOf(columns: readonly TableColumn[]): number {
  return columns.reduce((sum, column) => sum + valuesOf(column), 0);
}

function valuesOf(column: TableColumn): number {
  return column.type === 'number' ? 1 : column.categories.length;
}

/** @param sample as the model sees it: standardized numbers and one-hot categories */
export function rowCellsOf(columns: readonly TableColumn[], sample: ArrayLike<number>): TableCell[] {
  let at = 0;
  return columns.map((column) => {
    const first = at;
    at += valuesOf(column);
    if (column.type === 'number') return { name: column.name, text: rawNumber(sample[first]!, column) };
    const position = column.categories.findIndex((_, index) => sample[first + index] === 1);
    return { name: column.name, text: column.categories[position] ?? '–' };
  });
}

/** Undoes standardization: returns the number of the table if it has few decimals. */
function rawNumber(value: number, { mean, deviation }: Standardization): string {
  return shortest(value * deviation + mean, (raw) => Math.fround((raw - mean) / deviation) === value);
}

/** Relative error that rounding to float32 adds on the way to standardized values and back. */
const roundedOff = 2 ** -23;

/** Returns a target as it stands in the table, without the rounding error of its standardized float32 value. */
export function rawTarget(value: number, { mean, deviation }: Standardization = { mean: 0, deviation: 0 }): string {
  const tolerance = roundedOff * (Math.abs(mean) + deviation + Math.abs(value));
  return shortest(value, (raw) => Math.abs(raw - value) <= tolerance);
}

/** Maximum number of decimals tried: enough for columns whose numbers differ by 1e-20. */
const mostDecimals = 30;

/** Returns the number with the fewest decimals that `isAsGood` accepts in place of `exact`. */
function shortest(exact: number, isAsGood: (value: number) => boolean): string {
  for (let decimals = 0; decimals <= mostDecimals; decimals++) {
    const rounded = Number(exact.toFixed(decimals));
    if (isAsGood(rounded)) return `${rounded}`;
  }
  return `${exact}`;
}

/**
 * Returns the sample of a row, or undefined if one of its values is not finite, or missing where none may be.
 * @param row for each column the number, or the index of the category; NaN if it is missing
 */
export function sampleOfRow(
  columns: readonly TableColumn[],
  row: readonly number[],
): Float32Array<ArrayBuffer> | undefined {
  const sample = new Float32Array(widthOf(columns));
  let at = 0;
  for (const [index, column] of columns.entries()) {
    const given = Number.isNaN(row[index]!) ? (column.missing ?? Number.NaN) : row[index]!;
    if (column.type === 'number') sample[at] = (given - column.mean) / column.deviation;
    else if (Number.isNaN(given)) return undefined;
    else sample[at + given] = 1;
    at += valuesOf(column);
  }
  return sample.every(Number.isFinite) ? sample : undefined;
}
