/** Turns a table into a data set: a model learns one column and sees the others. */
import { DataError } from '../data-error.ts';
import type { Dataset, Standardization, Targets } from '../dataset.ts';
import { type SplitOptions, splitIndices, takeTargets } from '../split.ts';
import type { Column } from './column.ts';
import { encodeFeatures, type FeatureColumn, featureCount, fitFeatures } from './features.ts';
import { classesOf, fitTargets, labelColumn, type Task, targetsOf } from './labels.ts';
import { foundLine, type OpenedDataset, partsText, plural, targetsText } from './opened-dataset.ts';
import { columnFinder, requireColumn, shownName, type Table } from './table.ts';

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
export function datasetFromTable(table: Table, options: TableOptions = {}, testTable?: Table): OpenedDataset {
  const used = { ...table, columns: usedColumns(table, options.ignore) };
  const label = labelColumn(used, options.label);
  const seen = used.columns.filter((column) => column !== label);
  if (seen.length === 0) {
    throw new DataError(
      `${table.name}: expected columns beside ${shownName(label.name)}, the label, got none: what is a model to see?`,
    );
  }
  const names = classNames(table, label, options);
  const given = targetsOf(table, label, names);
  const rows = testTable ? undefined : splitIndices(given, table.count, table.name, options);
  const trainRows = rows?.train ?? allRows(table);
  if (trainRows.length === 0 && !options.like) {
    throw new RangeError('testFraction: expected a number below 1 where no model was trained yet, got 1');
  }
  const features = options.like?.columns ?? fitFeatures(table, seen, trainRows);
  const standardization = options.like ? options.like.standardization : fitTargets(table, label, names, trainRows);
  const labeled = (of: Table): Targets =>
    targetsOf(of, requireColumn(of, label.name, 'the label'), names, standardization);
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
export function classNames(table: Table, label: Column, { like, task }: TableOptions): readonly string[] | undefined {
  if (like) return like.classes;
  return task === 'regression' ? undefined : classesOf(table, label);
}

function usedColumns(table: Table, ignore: readonly string[] = []): readonly Column[] {
  const find = columnFinder(table);
  const ignored = new Set(ignore.map((name) => find(name, 'which is to be ignored')));
  return table.columns.filter((column) => !ignored.has(column));
}

function part(table: Table, features: readonly FeatureColumn[], targets: Targets, rows: Uint32Array): Dataset {
  return {
    samples: encodeFeatures(table, features, rows),
    sampleShape: [featureCount(features)],
    count: rows.length,
    targets: takeTargets(targets, rows),
  };
}

export function allRows({ count }: Table): Uint32Array {
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
