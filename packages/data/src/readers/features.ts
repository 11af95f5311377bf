/** What a model sees of a table's row: numbers standardized, categories as zeros and a one. */
import { DataError } from '../data-error.ts';
import { sortedNames } from './class-names.ts';
import type { Column } from './column.ts';
import { cellError, listed, requireColumn, shownText, type Table } from './table.ts';

/** One column as a model sees it: one number, or one for each category. */
export type FeatureColumn =
  | {
      readonly type: 'number';
      readonly name: string;
      /** Of the training rows. */
      readonly mean: number;
      /** Of the training rows, over their count; 1 where all are equal. */
      readonly deviation: number;
    }
  | { readonly type: 'category'; readonly name: string; readonly categories: readonly string[] };

const maxCategories = 256;
const notNumbers: ReadonlySet<string> = new Set(['', 'na', 'n/a', 'nan', 'null', 'none', '?', '-', 'inf', 'infinity']);

/**
 * @param rows to train with: means and deviations are theirs, while categories are those of all rows
 * @throws DataError for a missing value, a number that is not finite, a text among numbers, or too many categories
 */
export function fitFeatures(table: Table, columns: readonly Column[], rows: Uint32Array): FeatureColumn[] {
  return columns.map((column) => {
    if (isCategory(column)) return { type: 'category', name: column.name, categories: categoriesOf(table, column) };
    for (let row = 0; row < table.count; row += 1) requireNumber(table, column, row);
    return { type: 'number', name: column.name, ...momentsOf(table, column, rows) };
  });
}

/** Values that a model sees of a row. */
export function featureCount(features: readonly FeatureColumn[]): number {
  return features.reduce((sum, feature) => sum + (feature.type === 'number' ? 1 : feature.categories.length), 0);
}

/**
 * float32, [rows, featureCount]. Columns are found by their names; others may be there as well.
 * @throws DataError for a missing column, a cell that is no finite number where one was, or an unknown category
 */
export function encodeFeatures(
  table: Table,
  features: readonly FeatureColumn[],
  rows: Uint32Array,
): Float32Array<ArrayBuffer> {
  const size = featureCount(features);
  const values = new Float32Array(rows.length * size);
  let offset = 0;
  for (const feature of features) {
    const column = requireColumn(table, feature.name, 'which the model sees');
    const isNumber = feature.type === 'number';
    const categories = isNumber ? undefined : new Map(feature.categories.map((name, index) => [name, index]));
    rows.forEach((row, index) => {
      const at = index * size + offset;
      if (isNumber) values[at] = standardized(table, column, row, feature);
      else values[at + requireCategory(table, column, row, categories!)] = 1;
    });
    offset += isNumber ? 1 : feature.categories.length;
  }
  return values;
}

/** Numbers with a text among them are numbers with a mistake. */
function isCategory(column: Column): boolean {
  let numbers = 0;
  let texts = 0;
  for (let row = 0; row < column.count; row += 1) {
    if (column.numberAt(row) !== undefined) numbers += 1;
    else if (!notNumbers.has(column.textAt(row).toLowerCase())) texts += 1;
  }
  return texts > numbers;
}

/** @throws DataError that names the cell */
export function requireNumber(table: Table, column: Column, row: number): number {
  const value = column.numberAt(row);
  if (value === undefined) throw cellError(table, row, column, 'a finite number');
  return value;
}

function standardized(
  table: Table,
  column: Column,
  row: number,
  { mean, deviation }: FeatureColumn & { readonly type: 'number' },
): number {
  const value = Math.fround((requireNumber(table, column, row) - mean) / deviation);
  if (!Number.isFinite(value)) throw cellError(table, row, column, 'a number that float32 can hold once it is scaled');
  return value;
}

function requireCategory(table: Table, column: Column, row: number, known: ReadonlyMap<string, number>): number {
  const index = known.get(column.textAt(row));
  if (index !== undefined) return index;
  throw cellError(table, row, column, `one of the categories to train with (${listed([...known.keys()])})`);
}

function categoriesOf(table: Table, column: Column): string[] {
  const different = new Set<string>();
  for (let row = 0; row < table.count; row += 1) {
    const text = column.textAt(row);
    if (text === '') throw cellError(table, row, column, 'a category');
    different.add(text);
  }
  if (different.size <= maxCategories) return sortedNames(different);
  const [example] = different;
  const got = `${different.size} texts such as ${shownText(example!)}`;
  const expected = `numbers or at most ${maxCategories} categories`;
  throw new DataError(
    `${table.name}: column ${column.name}: expected ${expected}, got ${got}: leave it out with --ignore ${column.name}`,
  );
}

/** In two passes, in the order of the rows. */
function momentsOf(table: Table, column: Column, rows: Uint32Array): { mean: number; deviation: number } {
  const values = Float64Array.from(rows, (row) => column.numberAt(row)!);
  // Rounding would leave equal numbers a small deviation.
  if (values.every((value) => value === values[0])) return { mean: values[0]!, deviation: 1 };
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  if (Number.isFinite(variance)) return { mean, deviation: Math.sqrt(variance) };
  const largest = rows.reduce((best, row) =>
    Math.abs(column.numberAt(row)!) > Math.abs(column.numberAt(best)!) ? row : best,
  );
  throw cellError(table, largest, column, 'a number with a finite square');
}
