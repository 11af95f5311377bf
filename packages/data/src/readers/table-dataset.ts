/** Turns rows into a data set: a model learns one column and sees the others, or the arrays of the lines. */

import { argumentKinds, checkArguments, objectWith, unexpected } from '../data-error.ts';
import {
  type Dataset,
  gatherRows,
  type Samples,
  type Standardization,
  samplesOf,
  sizeOfField,
  type Targets,
  tokenSamples,
} from '../dataset.ts';
import { defaultSplitSeed, type SplitOptions, splitIndices } from '../order.ts';
import { plural, shownLine, shownValue, thousands } from '../shown.ts';
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
import {
  doubtfulColumns,
  type MissingPolicy,
  missingPolicies,
  otherThanText,
  requireUsable,
  type SurveyedColumn,
  shownList,
  surveyOf,
  type UnfilledColumn,
  usableRows,
} from './survey.ts';
import { type Column, columnFinder, listed, requireColumn, shownName, shownText, type TableFile } from './table.ts';
import { encodeTexts, fitText, type TextColumn } from './text-column.ts';
import { type Vocabulary, type VocabularyChoice, vocabularySize, wordless } from './vocabulary.ts';

/** If the aspect ratio differs, cover crops edges, contain adds black ones, and stretch distorts. */
export type PictureFit = 'cover' | 'contain' | 'stretch';

/** How a file becomes a sample, if that takes more than its values; a saved model knows it as well. */
export type Reading =
  /** A row of a table, encoded by `encodeFeatures`. */
  | {
      readonly type: 'rows';
      readonly columns: readonly FeatureColumn[];
      /** Name of the label's column; undefined in files of earlier versions. */
      readonly label?: string | undefined;
      /** Whether rows with a missing value that no column replaces were dropped; otherwise there were none. */
      readonly missing?: 'drop' | undefined;
    }
  /** A text. */
  | {
      readonly type: 'text';
      readonly vocabulary: Vocabulary;
      /** Whether each line is a sample; omitted for running text. */
      readonly lines?: true | undefined;
      /** The columns of a table whose texts are the samples, and the label; omitted for other texts. */
      readonly table?: {
        readonly column: string;
        readonly label: string;
        /** Whether rows without a text or a label were dropped. */
        readonly missing?: 'drop' | undefined;
      };
    }
  /** A picture, scaled to the sample's height and width. */
  | { readonly type: 'pictures'; readonly fit: PictureFit };

const readingKind = objectWith('how a file becomes a sample, as a model says', 'type');

/** Returns what is known of the table whose rows are the samples; undefined for other data. */
export function tableOf(
  reading: Reading | undefined,
): { readonly label?: string | undefined; readonly missing?: 'drop' | undefined } | undefined {
  if (reading !== undefined) checkArguments('tableOf', [readingKind, reading]);
  return reading?.type === 'text' ? reading.table : reading?.type === 'rows' ? reading : undefined;
}

/** Result of a reader: training and test samples, and what it found. */
export interface OpenedDataset {
  readonly train: Dataset;
  readonly test: Dataset;
  /** A line for people that says what was read and how, and a line for each notice about columns and rows. */
  readonly found: string;
  readonly reading?: Reading;
}

/** Returns the line that says what was read, and from which files; and a line for each notice. */
export function foundLine(
  files: readonly (Pick<TableFile, 'name'> | undefined)[],
  what: string,
  ...notices: readonly string[]
): string {
  const names = files.flatMap((file) => (file ? [file.name] : []));
  return [`${names.join(' and ')}: ${what}`, ...notices].map((line) => shownLine(line)).join('\n');
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
  /** How missing values are treated, in all columns or by column. Default `error`. */
  readonly missing?: MissingPolicy | Readonly<Record<string, MissingPolicy>> | undefined;
  /** For texts: number of tokens, of which two stand for unknown words and for none. Default 8,000. */
  readonly vocabulary?: VocabularyChoice | undefined;
  /** For texts: number of words that a model sees. Default the most in a training row, up to 256. */
  readonly context?: number | undefined;
  /** An already trained model: rows are encoded as in its training, and have its classes. */
  readonly like?: TrainedTable | undefined;
}

/** How a trained model read its table, so that other rows are read the same way. */
export interface TrainedTable {
  /** Undefined if samples are arrays or texts. */
  readonly columns?: readonly FeatureColumn[] | undefined;
  /** Undefined unless samples are the texts of a column. */
  readonly text?: TextColumn | undefined;
  /** Whether rows with a missing value that no column replaces are dropped. */
  readonly missing?: 'drop' | undefined;
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
 * If texts are the only column besides the label, samples are their words as tokens.
 * @param testTable the test rows; without it, a seeded part of `table`
 * @throws DataError with one sentence that names line and column
 */
export function datasetFromTable(table: TableFile, options: TableOptions = {}, testTable?: TableFile): OpenedDataset {
  checkArguments('datasetFromTable', [argumentKinds.table, table], [argumentKinds.options, options]);
  if (testTable !== undefined) checkArguments('datasetFromTable', [argumentKinds.table, testTable]);
  const plan = planOf(table, options);
  const { label, surveys, policyOf, unfilled } = plan;
  const parts = divide(table, testTable, label, unfilled, options);
  const { names, train: trainRows, standardization } = parts;
  const text =
    options.like?.text ?? (plan.text === undefined ? undefined : fitText(table, plan.text, trainRows, options));
  const features = options.like?.columns ?? (text ? [] : fitFeatures(table, surveys, trainRows, policyOf));
  const samples = (of: TableFile, rows: Uint32Array): Samples =>
    text
      ? tokenSamples(encodeTexts(of, text, rows), text.length, vocabularySize(text.vocabulary))
      : samplesOf(encodeFeatures(of, features, rows), [featureCount(features)]);
  const part = (of: TableFile, rows: Uint32Array): Dataset => ({
    samples: samples(of, rows),
    targets: targetsOf(of, labelIn(of, label), names, rows, standardization),
    count: rows.length,
  });
  const train = part(table, trainRows);
  const test = part(testTable ?? table, parts.test);
  const counts = partsText({ train, test }, testTable ? undefined : options);
  const rows = table.count + (testTable?.count ?? 0);
  const what = `${plural(rows, 'row')}, ${text ? textsText(text) : `${seenText(features)} each`}`;
  const found = foundLine(
    [table, testTable],
    `${what}, ${targetsText(parts.given)} in column ${shownName(label.name)}; ${counts}`,
    ...(text ? [] : filledText(surveys, features)),
    ...droppedText(rows - train.count - test.count, rows),
    ...doubtfulColumns(surveys),
  );
  const missing = unfilled.some(({ isDropped }) => isDropped) ? 'drop' : undefined;
  const reading: Reading = text
    ? {
        type: 'text',
        vocabulary: text.vocabulary,
        table: { column: text.name, label: label.name, ...(missing && { missing }) },
      }
    : { type: 'rows', columns: features, label: label.name, missing };
  return { train, test, found, reading };
}

/** The labels of a table, and the rows of its parts. */
interface Division {
  /** Names of the classes; undefined if values are learned. */
  readonly names: readonly string[] | undefined;
  /** Targets of all rows that are used, as they are given. */
  readonly given: Targets;
  readonly train: Uint32Array;
  readonly test: Uint32Array;
  readonly standardization: Standardization | undefined;
}

/** Divides the rows that have all values they need into training and test rows. @throws DataError */
function divide(
  table: TableFile,
  testTable: TableFile | undefined,
  label: Column,
  unfilled: readonly Unfilled[],
  options: TableOptions,
): Division {
  const kept = usableRows(table, unfilledIn(table, unfilled), label);
  const names = classNames(table, label, kept, options);
  const given = targetsOf(table, label, names, kept);
  const split = testTable ? undefined : splitIndices(given, kept.length, table.name, options);
  const train = split ? split.train.map((position) => kept[position]!) : kept;
  if (train.length === 0 && !options.like) {
    throw new RangeError('testFraction: expected a number below 1 if no model was trained yet, got 1');
  }
  const test = split
    ? split.test.map((position) => kept[position]!)
    : usableRows(testTable!, unfilledIn(testTable!, unfilled), labelIn(testTable!, label));
  const standardization = options.like ? options.like.standardization : fitTargets(table, label, names, train);
  return { names, given, train, test, standardization };
}

/** A column whose missing values nothing fills, by its name, which it has in each table. */
type Unfilled = Omit<UnfilledColumn, 'column'> & Pick<Column, 'name'>;

interface TablePlan {
  readonly label: Column;
  /** The columns that the model sees; none if a trained model knows its own. */
  readonly surveys: readonly SurveyedColumn[];
  /** Name of the column whose texts the model reads; undefined if it reads numbers and categories. */
  readonly text: string | undefined;
  readonly policyOf: (column: Column) => MissingPolicy;
  readonly unfilled: readonly Unfilled[];
}

/** Decides which columns are read, and what becomes of their missing values. @throws DataError */
function planOf(table: TableFile, options: TableOptions): TablePlan {
  const { like } = options;
  const used = { ...table, columns: usedColumns(table, options.ignore) };
  const label = labelColumn(used, options.label);
  const seen = used.columns.filter((column) => column !== label);
  if (seen.length === 0) {
    const advice = table.columns.length > 1 ? '' : ': columns are separated by commas, semicolons or tabs';
    throw unexpected(table.name, `at least one column besides the label ${shownText(label.name)}`, `none${advice}`);
  }
  const policyOf = policiesOf(table, options);
  const surveys = like?.columns || like?.text ? [] : seen.map(surveyOf);
  const [only, second] = surveys;
  const isAsked = options.context !== undefined || options.vocabulary !== undefined;
  const other = only && !second ? otherThanText(only, isAsked) : 'other columns: leave them out with --ignore';
  const text = like?.text?.name ?? (other === undefined ? only!.column.name : undefined);
  if (text === undefined) {
    requireUsable(table, surveys);
    refuseTextOptions(table, options, other);
  }
  const known = like?.text ? [{ name: like.text.name, type: 'category' as const }] : like?.columns;
  const unfilled: Unfilled[] = [];
  const add = ({ name }: { readonly name: string }, type: Unfilled['type'], policy: MissingPolicy): void => {
    // A text may be empty: it has no words.
    if (policy !== 'drop' && (policy !== 'error' || text !== undefined)) return;
    unfilled.push({ name, type, isDropped: policy === 'drop' });
  };
  for (const column of known ?? []) {
    if (!('missing' in column) || column.missing === undefined) add(column, column.type, like?.missing ?? 'error');
  }
  if (!known) for (const { column, type } of surveys) add(column, type, policyOf(column));
  unfilled.push(labelPlan(label, policyOf));
  return { label, surveys, text, policyOf, unfilled };
}

/** @throws DataError if options for texts are given for a table without texts */
function refuseTextOptions({ name }: TableFile, options: TableOptions, got: string | undefined): void {
  for (const option of ['vocabulary', 'context'] as const) {
    if (options[option] === undefined) continue;
    const expected = `a single column of texts besides the label, which --${option} is for`;
    throw unexpected(name, expected, got);
  }
}

function labelPlan(label: Column, policyOf: TablePlan['policyOf']): Unfilled {
  return { name: label.name, type: surveyOf(label).type, isDropped: policyOf(label) === 'drop' };
}

function labelIn(table: TableFile, { name }: Column): Column {
  return requireColumn(table, name, 'for the label');
}

/** Returns the columns that may have missing values: a missing value is a text. */
function unfilledIn(table: TableFile, unfilled: readonly Unfilled[]): UnfilledColumn[] {
  const find = columnFinder(table);
  const found: UnfilledColumn[] = [];
  for (const [index, { name, type, isDropped }] of unfilled.entries()) {
    const column = find(name, index === unfilled.length - 1 ? 'for the label' : 'for the model');
    if (column.hasText) found.push({ column, type, isDropped });
  }
  return found;
}

/** @throws RangeError for an unknown policy; DataError for an unknown column */
function policiesOf(table: TableFile, { missing = 'error', like }: TableOptions): TablePlan['policyOf'] {
  if (like) return () => like.missing ?? 'error';
  const policies = typeof missing === 'object' ? Object.values(missing) : [missing];
  const wrong = policies.find((policy) => !missingPolicies.includes(policy));
  if (wrong !== undefined) {
    throw new RangeError(`missing: expected one of ${missingPolicies.join(', ')}, got ${shownValue(wrong)}`);
  }
  if (typeof missing !== 'object') return () => missing;
  const find = columnFinder(table);
  const byColumn = new Map(
    Object.entries(missing).map(([name, policy]) => [find(name, 'with missing values'), policy]),
  );
  return (column) => byColumn.get(column) ?? 'error';
}

/** Returns undefined if values are learned. @throws DataError if the label's column has no classes */
function classNames(
  table: TableFile,
  label: Column,
  rows: Uint32Array,
  { like, task }: TableOptions,
): readonly string[] | undefined {
  if (like) return like.classes;
  return task === 'regression' ? undefined : classesOf(table, label, rows);
}

function usedColumns(table: TableFile, ignore: readonly string[] = []): readonly Column[] {
  if (ignore.length === 0) return table.columns;
  const find = columnFinder(table);
  const ignored = new Set(ignore.map((name) => find(name, 'to ignore')));
  return table.columns.filter((column) => !ignored.has(column));
}

function seenText(features: readonly FeatureColumn[]): string {
  const categories = features.filter(({ type }) => type === 'category');
  const numbers = features.length - categories.length;
  const parts = numbers > 0 ? [plural(numbers, 'number')] : [];
  if (categories.length === 0) return parts.join();
  const size = plural(featureCount(categories), 'value');
  return [...parts, `${plural(categories.length, 'category', 'categories')} (${size})`].join(' and ');
}

function textsText({ name, vocabulary, length, longest = length }: TextColumn): string {
  const words = plural(vocabularySize(vocabulary) - wordless.count, 'different word');
  const cut = longest > length ? `, of which the first ${thousands(length)} are read` : '';
  return `texts in column ${shownName(name)} (${words}, up to ${thousands(longest)} a text${cut})`;
}

/** Says which missing values were replaced, and by what. */
function filledText(surveys: readonly SurveyedColumn[], features: readonly FeatureColumn[]): string[] {
  const filled = surveys.flatMap(({ column, missing }, index) => {
    const value = features[index]!.missing;
    if (missing === 0 || value === undefined) return [];
    const shown = typeof value === 'number' ? short(value) : shownName(value);
    return [`${shownName(column.name)} with ${shown} (${thousands(missing)})`];
  });
  return filled.length === 0 ? [] : [`missing values filled in: ${shownList(filled)}`];
}

function droppedText(dropped: number, rows: number): string[] {
  return dropped === 0 ? [] : [`${thousands(dropped)} of ${plural(rows, 'row')} dropped because of missing values`];
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
  refuseTextOptions(table, options, 'arrays');
  const label = labelColumn(table, options.label);
  if (test) requireShape(test, samples.shape, table.name);
  const unfilled = [labelPlan(label, policiesOf(table, options))];
  const divided = divide(table, test?.table, label, unfilled, options);
  const areBytes = options.like?.bytes ?? holdBytes(test ? [lines, test] : [lines]);
  const [values, testValues] = [lines, test].map((one) => one && (areBytes ? bytesOf(one) : one.samples!.values));
  const part = (of: TableFile, all: Uint8Array | Float32Array, rows: Uint32Array): Dataset => {
    const { names, standardization } = divided;
    // Without a split, rows are in the order of the file.
    const picked = test && rows.length === of.count ? all : gatherRows(all, sizeOfField(samples), rows);
    const targets = targetsOf(of, labelIn(of, label), names, rows, standardization);
    return { samples: samplesOf(picked, samples.shape), targets, count: rows.length };
  };
  const parts = {
    train: part(table, values!, divided.train),
    test: part(test?.table ?? table, testValues ?? values!, divided.test),
  };
  const kind = areBytes ? 'bytes' : 'numbers';
  const count = table.count + (test?.table.count ?? 0);
  const what = `${plural(count, 'line')}, ${samples.shape.join(' x ')} ${kind} each`;
  const counts = partsText(parts, test ? undefined : options);
  const found = foundLine(
    [table, test?.table],
    `${what}, ${targetsText(divided.given)} in ${shownName(label.name)}; ${counts}`,
    ...droppedText(count - parts.train.count - parts.test.count, count),
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
function bytesOf({ table, samples }: JsonLines): Uint8Array {
  const { values, shape } = samples!;
  const at = firstBeyondBytes(values);
  if (at < 0) return Uint8Array.from(values);
  const place = table.placeOf(Math.floor(at / sizeOfField({ shape })));
  throw unexpected(`${table.name}: ${place}`, 'whole numbers from 0 to 255, as in training', values[at]);
}
