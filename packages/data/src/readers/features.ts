/** The columns of a table that a model sees, and the column that it learns. */

import { argumentKinds, checkArguments, DataError, unexpected } from '../data-error.ts';
import { classTargets, maxClasses, type Standardization, type Targets, valueTargets } from '../dataset.ts';
import { shownValue, thousands } from '../shown.ts';
import type { MissingPolicy, SurveyedColumn } from './survey.ts';
import {
  Cells,
  type Column,
  cellError,
  columnFinder,
  columnsOf,
  isMissing,
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
      /** Mean over the training rows, with their missing values filled in. */
      readonly mean: number;
      /** Population standard deviation of the training rows; 1 if all are equal. */
      readonly deviation: number;
      /** Replaces a missing value; undefined if a missing value is refused. */
      readonly missing?: number | undefined;
    }
  | {
      readonly type: 'category';
      readonly name: string;
      readonly categories: readonly string[];
      /** One of the categories, which replaces a missing value; undefined if a missing value is refused. */
      readonly missing?: string | undefined;
    };

const rowsAtATime = 64;
const maxFeatureValues = 2 ** 27;

/**
 * Fits the encoding of each column.
 * @param rows training rows: means, deviations and fills are theirs, while categories are those of all rows
 * @param policyOf what becomes of a column's missing values
 * @throws DataError if no training row has a value to fill in, or a number's square is not finite
 */
export function fitFeatures(
  table: TableFile,
  surveys: readonly SurveyedColumn[],
  rows: Uint32Array,
  policyOf: (column: Column) => MissingPolicy,
): FeatureColumn[] {
  // In file order, neighbors in memory are added one after another.
  const ordered = rows.toSorted();
  const numbers = new Float64Array(rows.length);
  return surveys.map(({ column, type, counts }) => {
    const { name } = column;
    const policy = policyOf(column);
    const isFilled = policy !== 'error' && policy !== 'drop';
    if (type === 'category') {
      const categories = sortedNames(counts.keys());
      const missing = isFilled ? { missing: mostFrequentCategory(table, column, ordered) } : {};
      return { type, name, categories, ...missing };
    }
    const missing = isFilled ? fills[policy](presentNumbers(table, column, ordered)) : undefined;
    const { mean, deviation } = momentsOf(table, column, ordered, missing, numbers);
    return missing === undefined ? { type, name, mean, deviation } : { type, name, mean, deviation, missing };
  });
}

/** How each policy finds the value to fill in. The numbers are in file order. */
const fills = {
  mean: (numbers: Float64Array) => numbers.reduce((sum, value) => sum + value, 0) / numbers.length,
  median(numbers: Float64Array) {
    const sorted = numbers.toSorted();
    const half = sorted.length / 2;
    return (sorted[Math.ceil(half) - 1]! + sorted[Math.floor(half)]!) / 2;
  },
  /** The smallest of the most frequent numbers. */
  'most-frequent'(numbers: Float64Array) {
    const sorted = numbers.toSorted();
    let [best, most, run] = [sorted[0]!, 0, 0];
    for (const [index, value] of sorted.entries()) {
      run = value === sorted[index - 1] ? run + 1 : 1;
      if (run > most) [best, most] = [value, run];
    }
    return best;
  },
} as const;

function presentNumbers(table: TableFile, column: Column, rows: Uint32Array): Float64Array {
  const numbers = column.numbersAt(rows).filter((value) => !Number.isNaN(value));
  if (numbers.length === 0) throw noFill(table, column);
  return numbers;
}

function mostFrequentCategory(table: TableFile, column: Column, rows: Uint32Array): string {
  const counts = new Map<string, number>();
  for (const row of rows) {
    const text = column.textAt(row);
    if (text !== '') counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  const most = Math.max(...counts.values());
  const best = sortedNames(counts.keys()).find((text) => counts.get(text) === most);
  if (best === undefined) throw noFill(table, column);
  return best;
}

function noFill(table: TableFile, { name }: Column): DataError {
  const got = `none: ignore it with --ignore ${shownName(name)}`;
  return unexpected(`${table.name}: column ${shownName(name)}`, 'a value in some training row', got);
}

/** Returns the number of values that a model sees of a row. */
export function featureCount(features: readonly FeatureColumn[]): number {
  checkArguments('featureCount', [argumentKinds.features, features]);
  return features.reduce((sum, feature) => sum + valuesOf(feature), 0);
}

function valuesOf(feature: FeatureColumn): number {
  return feature.type === 'number' ? 1 : feature.categories.length;
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
  const find = columnFinder(table);
  const columns = features.map(({ name }) => find(name, 'for the model'));
  const indices = features.map(indicesOf);
  // A few rows at a time and in file order, so that they stay in the processor's cache while each column is written.
  const ordered = inFileOrder(rows, table.count);
  for (let from = 0; from < ordered.length; from += rowsAtATime) {
    const samples = ordered.subarray(from, from + rowsAtATime);
    const target: EncodedRows = { table, values, size, samples, rows: samples.map((sample) => rows[sample]!) };
    let offset = 0;
    for (let at = 0; at < features.length; at += 1) {
      const feature = features[at]!;
      if (feature.type === 'number') writeNumbers(target, columns[at]!, feature, offset);
      else writeCategories(target, columns[at]!, indices[at]!, offset);
      offset += valuesOf(feature);
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
  throw unexpected(name, expected, `${got}: ignore columns with --ignore`);
}

/** Some rows, which become the samples with these indices. */
interface EncodedRows {
  readonly table: TableFile;
  readonly rows: Uint32Array;
  readonly samples: Uint32Array;
  /** [samples, size] */
  readonly values: Float32Array;
  readonly size: number;
}

type NumberFeature = FeatureColumn & { readonly type: 'number' };

/** A column's numbers in the rows that are written. */
const numbers = new Float64Array(rowsAtATime);

function writeNumbers(target: EncodedRows, column: Column, feature: NumberFeature, offset: number): void {
  const { table, rows, samples, values, size } = target;
  const { mean, deviation } = feature;
  column.numbersAt(rows, numbers);
  for (let at = 0; at < rows.length; at += 1) {
    const value = Math.fround((numbers[at]! - mean) / deviation);
    const isUsable = Number.isFinite(value);
    values[samples[at]! * size + offset] = isUsable ? value : filledIn(table, column, rows[at]!, feature);
  }
}

/** Returns the index of each category; undefined for a column of numbers. */
function indicesOf(feature: FeatureColumn): ReadonlyMap<string, number> | undefined {
  if (feature.type === 'number') return undefined;
  const { categories, missing } = feature;
  const indices = new Map(categories.map((name, index) => [name, index]));
  if (missing !== undefined) indices.set('', indices.get(missing)!);
  return indices;
}

function writeCategories(
  { table, rows, samples, values, size }: EncodedRows,
  column: Column,
  indices: ReadonlyMap<string, number>,
  offset: number,
): void {
  for (let at = 0; at < rows.length; at += 1) {
    const index = indices.get(column.textAt(rows[at]!));
    if (index === undefined) {
      const known = [...indices.keys()].filter((name) => name !== '');
      throw cellError(table, rows[at]!, column, `one of the known categories (${listed(known)})`);
    }
    values[samples[at]! * size + offset + index] = 1;
  }
}

/** A row by the names of its columns. null, undefined, NaN and an empty text are missing values. */
export type TableRow = Readonly<Record<string, number | string | boolean | null | undefined>>;

/**
 * Encodes rows in memory as float32, [rows, featureCount], like `encodeFeatures`.
 * Other columns are ignored.
 * @param name begins messages
 * @throws DataError that names the row, from 0, and the column
 */
export function encodeRows(
  rows: readonly TableRow[],
  features: readonly FeatureColumn[],
  name = 'encodeRows',
): Float32Array<ArrayBuffer> {
  checkArguments(name, [argumentKinds.rows, rows], [argumentKinds.features, features]);
  const names = features.map((feature) => feature.name);
  return encodeFeatures(tableFromRows(rows, names, name), features, Uint32Array.from(rows.keys()));
}

/** Returns rows in memory as a table of the columns with these names. @throws DataError that names row and column */
export function tableFromRows(rows: readonly TableRow[], names: readonly string[], name: string): TableFile {
  const cells = new Cells(name, names.length, Number.POSITIVE_INFINITY);
  rows.forEach((row, index) => {
    const place = `${name}: row ${index}`;
    if (typeof row !== 'object' || row === null || Array.isArray(row)) {
      throw unexpected(place, `an object with the columns ${listed(names)}`, shownValue(row));
    }
    names.forEach((column, at) => {
      if (!Object.hasOwn(row, column)) {
        const got = listed(Object.keys(row)) || 'none';
        throw unexpected(place, `a column ${shownText(column)} for the model`, `the columns ${got}`);
      }
      cells.set(index, at, rowCell(row[column], `${place}, column ${shownName(column)}`));
    });
  });
  const columns = columnsOf(names, cells, rows.length);
  return { name, columns, count: rows.length, placeOf: (row: number) => `row ${row}` };
}

function rowCell(value: TableRow[string], place: string): number | string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'number' || typeof value === 'string') return value;
  if (typeof value === 'boolean') return `${value}`;
  throw unexpected(place, 'a number, a text or null', shownValue(value));
}

/** Returns the number in a cell. @throws DataError that names the cell */
function requireNumber(table: TableFile, column: Column, row: number): number {
  const value = column.numberAt(row);
  if (value === undefined) throw cellError(table, row, column, 'a finite number');
  return value;
}

/** Returns the standardized number that replaces a missing one. @throws DataError that names the cell */
function filledIn(
  table: TableFile,
  column: Column,
  row: number,
  { mean, deviation, missing }: Extract<FeatureColumn, { type: 'number' }>,
): number {
  const number = column.numberAt(row);
  const isFilled = number === undefined && missing !== undefined && isMissing(column.textAt(row), 'number');
  const value = Math.fround(((isFilled ? missing : requireNumber(table, column, row)) - mean) / deviation);
  if (!Number.isFinite(value)) throw cellError(table, row, column, 'a number that float32 can hold once it is scaled');
  return value;
}

/**
 * Returns the mean and deviation of a column, in two passes.
 * @param rows in file order
 * @param missing replaces missing values
 * @param memory reused memory for the numbers of the rows
 * @throws DataError that names the cell if a square is not finite
 */
function momentsOf(
  table: TableFile,
  column: Column,
  rows: Uint32Array,
  missing = Number.NaN,
  memory = new Float64Array(rows.length),
): Standardization {
  const numbers = column.numbersAt(rows, memory);
  const first = Number.isNaN(numbers[0]!) ? missing : numbers[0]!;
  let areEqual = true;
  let sum = 0;
  for (let at = 0; at < numbers.length; at += 1) {
    if (Number.isNaN(numbers[at]!)) numbers[at] = missing;
    const value = numbers[at]!;
    areEqual &&= value === first;
    sum += value;
  }
  // Rounding would give equal numbers a small deviation.
  if (areEqual) return { mean: first, deviation: 1 };
  const mean = sum / rows.length;
  let squares = 0;
  for (let at = 0; at < numbers.length; at += 1) squares += (numbers[at]! - mean) ** 2;
  const deviation = Math.sqrt(squares / rows.length);
  if (Number.isFinite(deviation)) return { mean, deviation };
  const sizeOf = (row: number): number => Math.abs(column.numberAt(row) ?? 0);
  const largest = rows.reduce((best, row) => (sizeOf(row) > sizeOf(best) ? row : best));
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
  const isNamed = (column: Column, name: string) =>
    column.name.length === name.length && column.name.toLowerCase() === name;
  const usual = usualNames.map((name) => table.columns.find((column) => isNamed(column, name)));
  const found = usual.find((column) => column !== undefined) ?? table.columns.at(-1);
  if (!found) throw unexpected(table.name, 'a column with the label', 'no columns');
  return found;
}

/** Returns the classes of the rows, in the order of their numbers. @throws DataError if the cells are not classes */
export function classesOf(table: TableFile, column: Column, rows: Uint32Array): string[] {
  const different = new Set<string>();
  let areNumbers = true;
  let areWhole = true;
  for (const row of rows) {
    const text = column.textAt(row);
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
  const isSparse = names.length > maxNumericClasses && 2 * names.length > rows.length;
  if (areNumbers && names.length > maxNumericClasses && (!areWhole || isSparse)) {
    const got = `${names.length} different numbers from ${names[0]} to ${names.at(-1)}`;
    throw new DataError(`${expected}classes, got ${got}: learn the numbers themselves with --task regression`);
  }
  if (isSparse || names.length > maxClasses) {
    const got = `${names.length} different texts in ${rows.length} rows, such as ${shownText(names[0]!)}`;
    throw new DataError(
      `${expected}classes of several rows each, got ${got}: choose the column of the label with --label`,
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
 * Returns the targets of the rows: classes if there are `names`, else values.
 * @throws DataError if a label is not among the classes, or a cell is not a number that float32 can hold
 */
export function targetsOf(
  table: TableFile,
  column: Column,
  names: readonly string[] | undefined,
  rows: Uint32Array,
  standardization?: Standardization,
): Targets {
  return names ? classesIn(table, column, names, rows) : valuesIn(table, column, rows, standardization);
}

function classesIn(table: TableFile, column: Column, names: readonly string[], rows: Uint32Array): Targets {
  const indexOf = new Map(names.map((name, index) => [name, index]));
  const labels = Uint16Array.from(rows, (row) => {
    const index = indexOf.get(column.textAt(row));
    if (index === undefined) throw cellError(table, row, column, `one of the known classes (${listed(names)})`);
    return index;
  });
  return classTargets(labels, names);
}

function valuesIn(
  table: TableFile,
  column: Column,
  rows: Uint32Array,
  standardization: Standardization | undefined,
): Targets {
  const { mean, deviation } = standardization ?? { mean: 0, deviation: 1 };
  const values = Float32Array.from(rows, (row) => {
    const value = Math.fround((requireNumber(table, column, row) - mean) / deviation);
    if (!Number.isFinite(value)) throw cellError(table, row, column, 'a number that float32 can hold');
    return value;
  });
  return valueTargets(values, [column.name], standardization);
}
