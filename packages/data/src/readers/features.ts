/** The columns of a table that a model sees, and the column that it learns. */

import { argumentKinds, checkArguments, DataError, unexpected } from '../data-error.ts';
import { classTargets, maxClasses, type Standardization, type Targets, valueTargets } from '../dataset.ts';
import { thousands } from '../shown.ts';
import {
  type Column,
  cellError,
  columnFinder,
  listed,
  requireColumn,
  shownName,
  shownText,
  sortedNames,
  type TableFile,
} from './table.ts';

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
const notNumbers: ReadonlySet<string> = new Set(['', 'na', 'n/a', 'nan', 'null', 'none', '?', '-', 'inf', 'infinity']);

/**
 * Fits the encoding of each column.
 * @param rows training rows: means and deviations are theirs, while categories are those of all rows
 * @throws DataError for a missing value, a number that is not finite, a text among numbers, or too many categories
 */
export function fitFeatures(table: TableFile, columns: readonly Column[], rows: Uint32Array): FeatureColumn[] {
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
  checkArguments('featureCount', [argumentKinds.features, features]);
  return features.reduce((sum, feature) => sum + (feature.type === 'number' ? 1 : feature.categories.length), 0);
}

/**
 * Encodes rows as float32, [rows, featureCount]. Columns are found by name; others are ignored.
 * @throws DataError for a missing column, an unknown category, or a cell that should be a finite number
 */
export function encodeFeatures(
  table: TableFile,
  features: readonly FeatureColumn[],
  rows: Uint32Array,
): Float32Array<ArrayBuffer> {
  checkArguments(
    'encodeFeatures',
    [argumentKinds.table, table],
    [argumentKinds.features, features],
    [argumentKinds.numbers, rows],
  );
  const size = featureCount(features);
  requireFeatures(table, rows.length, size);
  const values = new Float32Array(rows.length * size);
  const writers = writersOf(table, features, values);
  // A few rows at a time and in file order, so that they stay in the processor's cache while each column is written.
  const ordered = inFileOrder(rows, table.count);
  for (let from = 0; from < ordered.length; from += rowsAtATime) {
    const some = ordered.subarray(from, from + rowsAtATime);
    for (const { offset, write } of writers) {
      for (const index of some) write(rows[index]!, index * size + offset);
    }
  }
  return values;
}

/** Returns the indices of `rows` that sort them: a counting sort, since `rows` are numbers below `count`. */
function inFileOrder(rows: Uint32Array, count: number): Uint32Array {
  const starts = new Uint32Array(count + 1);
  for (const row of rows) starts[row + 1]! += 1;
  for (let row = 0; row < count; row += 1) starts[row + 1]! += starts[row]!;
  const ordered = new Uint32Array(rows.length);
  for (let index = 0; index < rows.length; index += 1) ordered[starts[rows[index]!]!++] = index;
  return ordered;
}

/** Checks the size before memory is allocated: a column of categories takes a value for each of them. */
function requireFeatures({ name }: TableFile, rows: number, size: number): void {
  if (rows * size <= maxFeatureValues) return;
  const expected = `at most ${thousands(maxFeatureValues)} values once each category has one`;
  const got = `${thousands(rows)} rows of ${thousands(size)}`;
  throw unexpected(name, expected, `${got}: leave columns out with --ignore`);
}

interface ColumnWriter {
  /** Position of the column's first value in a sample. */
  readonly offset: number;
  /** @param at position of the column's first value */
  readonly write: (row: number, at: number) => void;
}

function writersOf(table: TableFile, features: readonly FeatureColumn[], values: Float32Array): ColumnWriter[] {
  const find = columnFinder(table);
  let next = 0;
  return features.map((feature) => {
    const column = find(feature.name, 'for the model');
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
function requireNumber(table: TableFile, column: Column, row: number): number {
  const value = column.numberAt(row);
  if (value === undefined) throw cellError(table, row, column, 'a finite number');
  return value;
}

function standardized(table: TableFile, column: Column, row: number, { mean, deviation }: Standardization): number {
  const value = Math.fround((requireNumber(table, column, row) - mean) / deviation);
  if (!Number.isFinite(value)) throw cellError(table, row, column, 'a number that float32 can hold once it is scaled');
  return value;
}

function requireCategory(table: TableFile, column: Column, row: number, known: ReadonlyMap<string, number>): number {
  const index = known.get(column.textAt(row));
  if (index !== undefined) return index;
  throw cellError(table, row, column, `one of the categories to train with (${listed([...known.keys()])})`);
}

function categoriesOf(table: TableFile, column: Column): string[] {
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
  throw unexpected(`${table.name}: column ${name}`, expected, `${got}: leave it out with --ignore ${name}`);
}

/**
 * Returns the mean and deviation of a column, in two passes.
 * @param rows in file order
 * @throws DataError that names the cell if a square is not finite
 */
function momentsOf(table: TableFile, column: Column, rows: Uint32Array): Standardization {
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

/** Whether the label is a class or a number. */
export type Task = 'classification' | 'regression';

/** Usual names of the label, in any case; the first one that the table has is used. */
const usualNames = ['label', 'class', 'target', 'species', 'y'];
/** More numbers than this that are not whole, or that mostly differ, are measurements rather than classes. */
const maxNumericClasses = 10;
const exactClass = 'a class: a text, or a number up to 2^53 - 1';

/**
 * Returns the column with this name, else one with a usual name, else the last.
 * @throws DataError if there is no such column
 */
export function labelColumn(table: TableFile, label: string | undefined): Column {
  checkArguments('labelColumn', [argumentKinds.table, table]);
  if (label !== undefined) {
    checkArguments('labelColumn', [argumentKinds.text, label]);
    return requireColumn(table, label, 'for the label');
  }
  const usual = usualNames.map((name) => table.columns.find((column) => column.name.toLowerCase() === name));
  const found = usual.find((column) => column !== undefined) ?? table.columns.at(-1);
  if (!found) throw unexpected(table.name, 'a column with the label', 'no columns');
  return found;
}

/** Returns the classes of all rows, in the order of their numbers. @throws DataError if the cells are not classes */
export function classesOf(table: TableFile, column: Column): string[] {
  const different = new Set<string>();
  let areNumbers = true;
  let areWhole = true;
  for (let row = 0; row < table.count; row += 1) {
    const text = column.textAt(row);
    if (text === '') throw cellError(table, row, column, 'a label');
    const value = column.numberAt(row);
    // Beyond this, different whole numbers of the file become the same float64.
    if (Math.abs(value ?? 0) > Number.MAX_SAFE_INTEGER) throw cellError(table, row, column, exactClass);
    areNumbers &&= value !== undefined;
    areWhole &&= Number.isInteger(value);
    different.add(text);
  }
  const names = sortedNames(different);
  const expected = `${table.name}: column ${shownName(column.name)}: expected `;
  if (names.length < 2) throw new DataError(`${expected}at least 2 classes, got 1 (${listed(names)})`);
  const isSparse = names.length > maxNumericClasses && 2 * names.length > table.count;
  if (areNumbers && names.length > maxNumericClasses && (!areWhole || isSparse)) {
    const got = `${names.length} different numbers from ${names[0]} to ${names.at(-1)}`;
    throw new DataError(`${expected}classes, got ${got}: to learn the numbers themselves, give --task regression`);
  }
  if (isSparse || names.length > maxClasses) {
    const got = `${names.length} different texts in ${table.count} rows, such as ${shownText(names[0]!)}`;
    throw new DataError(
      `${expected}classes of several rows each, got ${got}: name the column of the label with --label`,
    );
  }
  return names;
}

/**
 * Returns the standardization of a column's values; undefined if it has classes.
 * @param rows training rows
 * @throws DataError if a cell of the training rows is not a finite number, or its square is not finite
 */
export function fitTargets(
  table: TableFile,
  column: Column,
  names: readonly string[] | undefined,
  rows: Uint32Array,
): Standardization | undefined {
  if (names) return undefined;
  for (const row of rows) requireNumber(table, column, row);
  return momentsOf(table, column, rows.toSorted());
}

/**
 * Returns the targets of all rows: classes if there are `names`, else values.
 * @throws DataError if a label is not among the classes, or a cell is not a number that float32 can hold
 */
export function targetsOf(
  table: TableFile,
  column: Column,
  names: readonly string[] | undefined,
  standardization?: Standardization,
): Targets {
  return names ? classesIn(table, column, names) : valuesIn(table, column, standardization);
}

function classesIn(table: TableFile, column: Column, names: readonly string[]): Targets {
  const indexOf = new Map(names.map((name, index) => [name, index]));
  const labels = Uint16Array.from({ length: table.count }, (_, row) => {
    const index = indexOf.get(column.textAt(row));
    if (index === undefined) throw cellError(table, row, column, `one of the classes to train with (${listed(names)})`);
    return index;
  });
  return classTargets(labels, names);
}

function valuesIn(table: TableFile, column: Column, standardization: Standardization | undefined): Targets {
  const { mean, deviation } = standardization ?? { mean: 0, deviation: 1 };
  const values = Float32Array.from({ length: table.count }, (_, row) => {
    const value = Math.fround((requireNumber(table, column, row) - mean) / deviation);
    if (!Number.isFinite(value)) throw cellError(table, row, column, 'a number that float32 can hold');
    return value;
  });
  return valueTargets(values, [column.name], standardization);
}
