/** Encodes a table row for a model: numbers standardized, categories one-hot. */
import { DataError } from '../data-error.ts';
import type { Standardization } from '../dataset.ts';
import { sortedNames } from './class-names.ts';
import type { Column } from './column.ts';
import { cellError, columnFinder, listed, shownName, shownText, type Table } from './table.ts';

/** One column as a model sees it: one number, or one for each category. */
export type FeatureColumn =
  | {
      readonly type: 'number';
      readonly name: string;
      /** Mean over the training rows. */
      readonly mean: number;
      /** Population standard deviation of the training rows; 1 if all are equal. */
      readonly deviation: number;
    }
  | { readonly type: 'category'; readonly name: string; readonly categories: readonly string[] };

const maxCategories = 256;
const rowsAtATime = 64;
const maxFeatureValues = 2 ** 27;
const thousands = (count: number): string => count.toLocaleString('en-US');
const notNumbers: ReadonlySet<string> = new Set(['', 'na', 'n/a', 'nan', 'null', 'none', '?', '-', 'inf', 'infinity']);

/**
 * Fits the encoding of each column.
 * @param rows training rows: means and deviations are theirs, while categories are those of all rows
 * @throws DataError for a missing value, a number that is not finite, a text among numbers, or too many categories
 */
export function fitFeatures(table: Table, columns: readonly Column[], rows: Uint32Array): FeatureColumn[] {
  // In file order, neighbors in memory are added one after another.
  const ordered = rows.toSorted();
  return columns.map((column) => {
    if (isCategory(column)) return { type: 'category', name: column.name, categories: categoriesOf(table, column) };
    for (let row = 0; row < table.count; row += 1) requireNumber(table, column, row);
    return { type: 'number', name: column.name, ...momentsOf(table, column, ordered) };
  });
}

/** Returns the number of values that a model sees of a row. */
export function featureCount(features: readonly FeatureColumn[]): number {
  return features.reduce((sum, feature) => sum + (feature.type === 'number' ? 1 : feature.categories.length), 0);
}

/**
 * Encodes rows as float32, [rows, featureCount]. Columns are found by name; others are ignored.
 * @throws DataError for a missing column, an unknown category, or a cell that should be a finite number
 */
export function encodeFeatures(
  table: Table,
  features: readonly FeatureColumn[],
  rows: Uint32Array,
): Float32Array<ArrayBuffer> {
  const size = featureCount(features);
  requireFeatures(table, rows.length, size);
  const values = new Float32Array(rows.length * size);
  const writers = writersOf(table, features, values);
  // A few rows at a time, so that they stay in the processor's cache while column after column is written.
  for (let from = 0; from < rows.length; from += rowsAtATime) {
    const to = Math.min(from + rowsAtATime, rows.length);
    for (const { offset, write } of writers) {
      for (let index = from; index < to; index += 1) write(rows[index]!, index * size + offset);
    }
  }
  return values;
}

/** Checks the size before memory is allocated: a column of categories takes a value for each of them. */
function requireFeatures({ name }: Table, rows: number, size: number): void {
  if (rows * size <= maxFeatureValues) return;
  const expected = `at most ${thousands(maxFeatureValues)} values once each category has one`;
  const got = `${thousands(rows)} rows of ${thousands(size)}`;
  throw new DataError(`${name}: expected ${expected}, got ${got}: leave columns out with --ignore`);
}

interface ColumnWriter {
  /** Position of the column's first value in a sample. */
  readonly offset: number;
  /** @param at position of the column's first value */
  readonly write: (row: number, at: number) => void;
}

function writersOf(table: Table, features: readonly FeatureColumn[], values: Float32Array): ColumnWriter[] {
  const find = columnFinder(table);
  let next = 0;
  return features.map((feature) => {
    const column = find(feature.name, 'which the model sees');
    const offset = next;
    next += featureCount([feature]);
    if (feature.type === 'number') {
      const write = (row: number, at: number) => {
        values[at] = standardized(table, column, row, feature);
      };
      return { offset, write };
    }
    const indexOf = new Map(feature.categories.map((name, index) => [name, index]));
    const write = (row: number, at: number) => {
      values[at + requireCategory(table, column, row, indexOf)] = 1;
    };
    return { offset, write };
  });
}

/** A few texts among numbers are mistakes, not categories. */
function isCategory(column: Column): boolean {
  let numbers = 0;
  let texts = 0;
  for (let row = 0; row < column.count; row += 1) {
    if (column.numberAt(row) !== undefined) numbers += 1;
    else if (!notNumbers.has(column.textAt(row).toLowerCase())) texts += 1;
  }
  return texts > numbers;
}

/** Returns the number in a cell. @throws DataError that names the cell */
export function requireNumber(table: Table, column: Column, row: number): number {
  const value = column.numberAt(row);
  if (value === undefined) throw cellError(table, row, column, 'a finite number');
  return value;
}

function standardized(table: Table, column: Column, row: number, { mean, deviation }: Standardization): number {
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
  const name = shownName(column.name);
  throw new DataError(
    `${table.name}: column ${name}: expected ${expected}, got ${got}: leave it out with --ignore ${name}`,
  );
}

/**
 * Returns the mean and deviation of a column, in two passes.
 * @param rows in file order
 * @throws DataError that names the cell if a square is not finite
 */
export function momentsOf(table: Table, column: Column, rows: Uint32Array): Standardization {
  const first = column.numberAt(rows[0]!)!;
  let areEqual = true;
  let sum = 0;
  for (const row of rows) {
    areEqual &&= column.numberAt(row) === first;
    sum += column.numberAt(row)!;
  }
  // Rounding would give equal numbers a small deviation.
  if (areEqual) return { mean: first, deviation: 1 };
  const mean = sum / rows.length;
  let squares = 0;
  for (const row of rows) squares += (column.numberAt(row)! - mean) ** 2;
  const deviation = Math.sqrt(squares / rows.length);
  if (Number.isFinite(deviation)) return { mean, deviation };
  const largest = rows.reduce((best, row) =>
    Math.abs(column.numberAt(row)!) > Math.abs(column.numberAt(best)!) ? row : best,
  );
  throw cellError(table, largest, column, 'a number with a finite square');
}
