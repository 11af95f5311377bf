/** Turns rows into a data set: a model learns one column and sees the others, or the arrays of the lines. */

import { argumentKinds, checkArguments, objectWith, unexpected } from '../data-error.ts';
import {
  type Dataset,
  type SampleValues,
  type Standardization,
  samplesOf,
  sizeOfField,
  type Targets,
  takeRows,
  takeSamples,
} from '../dataset.ts';
import { defaultSplitSeed, type SplitOptions, splitIndices } from '../order.ts';
import { shownLine, thousands } from '../shown.ts';
import { firstBeyondBytes } from './dataset-from.ts';
import {
  classesOf,
  encodeFeatures,
  type FeatureColumn,
  featureCount,
  fitFeatures,
  fitTargets,
  labelColumn,
  type Task,
  targetsOf,
} from './features.ts';
import type { JsonLines } from './json-lines.ts';
import { type Column, columnFinder, listed, requireColumn, shownName, shownText, type TableFile } from './table.ts';

/** If the aspect ratio differs, cover crops edges, contain adds black ones, and stretch distorts. */
export type PictureFit = 'cover' | 'contain' | 'stretch';

/** How a file becomes a sample, if that takes more than its values; a saved model knows it as well. */
export type Reading =
  /** A row of a table, encoded by `encodeFeatures`. */
  | { readonly type: 'rows'; readonly columns: readonly FeatureColumn[] }
  /** A picture, scaled to the sample's height and width. */
  | { readonly type: 'pictures'; readonly fit: PictureFit };

/** Result of a reader: training and test samples, and what it found. */
export interface OpenedDataset {
  readonly train: Dataset;
  readonly test: Dataset;
  /** One line for people that says what was read and how. */
  readonly found: string;
  readonly reading?: Reading;
}

/** Returns the line that says what was read, and from which files. */
export function foundLine(files: readonly (Pick<TableFile, 'name'> | undefined)[], what: string): string {
  const names = files.flatMap((file) => (file ? [file.name] : []));
  return shownLine(`${names.join(' and ')}: ${what}`);
}

/** Formats the two counts, and the seed of the split if there was one. */
export function partsText({ train, test }: Pick<OpenedDataset, 'train' | 'test'>, split?: SplitOptions): string {
  const counts = `${thousands(train.count)} to train, ${thousands(test.count)} to test`;
  return split ? `${counts} (split by seed ${split.seed ?? defaultSplitSeed})` : counts;
}

/** Formats the names of the classes, or the range of the values. */
export function targetsText(targets: Targets): string {
  if (targets.role === 'index') return `${targets.names.length} classes (${listed(targets.names)})`;
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of targets.values) [least, most] = [Math.min(least, value), Math.max(most, value)];
  return `values from ${short(least)} to ${short(most)}`;
}

export function plural(count: number, thing: string, things = `${thing}s`): string {
  return `${thousands(count)} ${count === 1 ? thing : things}`;
}

function short(value: number): string {
  return `${Number(value.toPrecision(6))}`;
}

/** Columns to read, and the split of rows into training and test samples. */
export interface TableOptions extends SplitOptions {
  /** Name of the label's column; default the column called label, class, target, species or y; otherwise the last one. */
  readonly label?: string | undefined;
  /** Names of columns to ignore. */
  readonly ignore?: readonly string[] | undefined;
  /** Default `classification`. */
  readonly task?: Task | undefined;
  /** An already trained model: rows are encoded as in its training, and have its classes. */
  readonly like?: TrainedTable | undefined;
}

/** How a trained model read its table, so that other rows are read the same way. */
export interface TrainedTable {
  /** Undefined if samples are arrays. */
  readonly columns?: readonly FeatureColumn[] | undefined;
  /** Whether samples that are arrays were bytes; if undefined, their numbers decide. */
  readonly bytes?: boolean | undefined;
  /** Names of the model's classes, in its order; undefined if it learned values. */
  readonly classes: readonly string[] | undefined;
  /** Standardization of the learned values; undefined if they are as given. */
  readonly standardization?: Standardization | undefined;
}

/**
 * Turns the rows of a table into samples and their labels.
 * Numbers, including the label's, are standardized by the training rows' mean and deviation; categories become one-hot.
 * @param testTable the test rows; without it, a seeded part of `table`
 * @throws DataError with one sentence that names line and column
 */
export function datasetFromTable(table: TableFile, options: TableOptions = {}, testTable?: TableFile): OpenedDataset {
  checkArguments('datasetFromTable', [argumentKinds.table, table], [argumentKinds.options, options]);
  if (testTable !== undefined) checkArguments('datasetFromTable', [argumentKinds.table, testTable]);
  const used = { ...table, columns: usedColumns(table, options.ignore) };
  const label = labelColumn(used, options.label);
  const seen = used.columns.filter((column) => column !== label);
  if (seen.length === 0) {
    throw unexpected(table.name, `at least one column besides the label ${shownText(label.name)}`, 'none');
  }
  const names = classNames(table, label, options);
  const given = targetsOf(table, label, names);
  const rows = testTable ? undefined : splitIndices(given, table.count, table.name, options);
  const trainRows = rows?.train ?? allRows(table);
  if (trainRows.length === 0 && !options.like) {
    throw new RangeError('testFraction: expected a number below 1 if no model was trained yet, got 1');
  }
  const features = options.like?.columns ?? fitFeatures(table, seen, trainRows);
  const standardization = options.like ? options.like.standardization : fitTargets(table, label, names, trainRows);
  const labeled = (of: TableFile): Targets =>
    targetsOf(of, requireColumn(of, label.name, 'for the label'), names, standardization);
  const targets = labeled(table);
  const train = part(table, features, targets, trainRows);
  const test = rows
    ? part(table, features, targets, rows.test)
    : part(testTable!, features, labeled(testTable!), allRows(testTable!));
  const counts = partsText({ train, test }, testTable ? undefined : options);
  const what = `${plural(table.count + (testTable?.count ?? 0), 'row')}, ${seenText(features)} each`;
  const found = foundLine(
    [table, testTable],
    `${what}, ${targetsText(given)} in column ${shownName(label.name)}; ${counts}`,
  );
  return { train, test, found, reading: { type: 'rows', columns: features } };
}

/** Returns undefined if values are learned. @throws DataError if the label's column has no classes */
function classNames(table: TableFile, label: Column, { like, task }: TableOptions): readonly string[] | undefined {
  if (like) return like.classes;
  return task === 'regression' ? undefined : classesOf(table, label);
}

function usedColumns(table: TableFile, ignore: readonly string[] = []): readonly Column[] {
  const find = columnFinder(table);
  const ignored = new Set(ignore.map((name) => find(name, 'to ignore')));
  return table.columns.filter((column) => !ignored.has(column));
}

function part(table: TableFile, features: readonly FeatureColumn[], targets: Targets, rows: Uint32Array): Dataset {
  return {
    samples: samplesOf(encodeFeatures(table, features, rows), [featureCount(features)]),
    targets: takeRows(targets, rows),
    count: rows.length,
  };
}

function allRows({ count }: TableFile): Uint32Array {
  return Uint32Array.from({ length: count }, (_, row) => row);
}

function seenText(features: readonly FeatureColumn[]): string {
  const categories = features.filter(({ type }) => type === 'category');
  const numbers = features.length - categories.length;
  const parts = numbers > 0 ? [plural(numbers, 'number')] : [];
  if (categories.length === 0) return parts.join();
  const size = plural(featureCount(categories), 'value');
  return [...parts, `${plural(categories.length, 'category', 'categories')} (${size})`].join(' and ');
}

const linesKind = objectWith('lines, which parseJsonLines gives', 'table');

/**
 * Turns the objects of a JSON Lines file into samples and their labels.
 * Arrays whose numbers are all whole from 0 to 255, like pixels, become bytes; others stay as they are. For an already
 * trained model, arrays become what the model takes. Values to learn are standardized by the mean and deviation of the
 * training lines.
 * @param test the test samples; without it, a seeded part of `lines`
 * @throws DataError
 */
export function datasetFromJsonLines(lines: JsonLines, options: TableOptions = {}, test?: JsonLines): OpenedDataset {
  checkArguments('datasetFromJsonLines', [linesKind, lines], [argumentKinds.options, options]);
  if (test !== undefined) checkArguments('datasetFromJsonLines', [linesKind, test]);
  if (!lines.samples) return datasetFromTable(lines.table, options, test?.table);
  const { table, samples } = lines;
  const label = labelColumn(table, options.label);
  const names = classNames(table, label, options);
  const given = targetsOf(table, label, names);
  if (test) requireShape(test, samples.shape, table.name);
  const rows = test ? undefined : splitIndices(given, table.count, table.name, options);
  const standardization = options.like
    ? options.like.standardization
    : fitTargets(table, label, names, rows?.train ?? allRows(table));
  const areBytes = options.like?.bytes ?? holdBytes(test ? [lines, test] : [lines]);
  const labeled = (part: JsonLines): Dataset => {
    const column = requireColumn(part.table, label.name, 'for the label');
    const targets = targetsOf(part.table, column, names, standardization);
    const values = areBytes ? bytesOf(part) : part.samples!.values;
    return { samples: samplesOf(values, samples.shape), targets, count: part.table.count };
  };
  const all = labeled(lines);
  const parts = rows
    ? { train: takeSamples(all, rows.train), test: takeSamples(all, rows.test) }
    : { train: all, test: labeled(test!) };
  const kind = areBytes ? 'bytes' : 'numbers';
  const what = `${plural(table.count + (test?.table.count ?? 0), 'line')}, ${samples.shape.join(' x ')} ${kind} each`;
  const counts = partsText(parts, test ? undefined : options);
  const found = foundLine(
    [table, test?.table],
    `${what}, ${targetsText(given)} in ${shownName(label.name)}; ${counts}`,
  );
  return { ...parts, found };
}

function requireShape({ table, samples }: JsonLines, shape: readonly number[], like: string): void {
  if (samples?.shape.join() === shape.join()) return;
  throw unexpected(table.name, `arrays of ${shape.join(' x ')}, as in ${like}`, samples?.shape.join(' x ') ?? 'none');
}

/** Whether all values are bytes. Zeros and ones alone are flags rather than pixels. */
function holdBytes(parts: readonly JsonLines[]): boolean {
  const values = parts.map(({ samples }) => samples!.values);
  return values.every((one) => firstBeyondBytes(one) < 0) && values.some((one) => one.some((value) => value > 1));
}

/** @throws DataError that names the line of a number that is not a byte */
function bytesOf({ table, samples }: JsonLines): SampleValues {
  const { values, shape } = samples!;
  const at = firstBeyondBytes(values);
  if (at < 0) return Uint8Array.from(values);
  const place = table.placeOf(Math.floor(at / sizeOfField({ shape })));
  throw unexpected(`${table.name}: ${place}`, 'whole numbers from 0 to 255, as in training', values[at]);
}
