/** A table as a data set: one column is what a model learns, the others are what it sees. */
import { DataError } from '../data-error.ts';
import type { Dataset, Standardization, Targets } from '../dataset.ts';
import { type SplitOptions, splitIndices, takeTargets } from '../split.ts';
import type { Column } from './column.ts';
import { encodeFeatures, type FeatureColumn, featureCount, fitFeatures } from './features.ts';
import { classesOf, fitTargets, labelColumn, type Task, targetsOf } from './labels.ts';
import { foundLine, type OpenedDataset, partsText, plural, targetsText } from './opened-dataset.ts';
import { columnFinder, requireColumn, shownName, type Table } from './table.ts';

/** Which columns are read, and how rows are split into samples to train and to test with. */
export interface TableOptions extends SplitOptions {
  /** Name of the column with the label; default one called label, class, target, species or y, else the last. */
  readonly label?: string | undefined;
  /** Names of columns to leave out. */
  readonly ignore?: readonly string[] | undefined;
  /** Default `classification`. */
  readonly task?: Task | undefined;
  /** Of a model that is trained already: rows become what it saw, and have its classes. */
  readonly like?: TrainedTable | undefined;
}

/** How a trained model read its table, for rows to be read the same way. */
export interface TrainedTable {
  /** Undefined for samples that are arrays. */
  readonly columns?: readonly FeatureColumn[] | undefined;
  /** Whether samples that are arrays were bytes; undefined leaves that to their numbers. */
  readonly bytes?: boolean | undefined;
  /** Of its classes, in their order; undefined for values. */
  readonly classes: readonly string[] | undefined;
  /** Of its values; undefined where they are as they were given. */
  readonly standardization?: Standardization | undefined;
}

/**
 * Rows of a table as samples and their labels.
 *
 * Numbers, of the label too, are standardized by the training rows' mean and deviation; categories become zeros and a one.
 * @param testTable the rows to test with; without it, a seeded part of `table`
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

/** undefined where values are learned. @throws DataError where the label's column has no classes */
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
