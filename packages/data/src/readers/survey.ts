/** Surveys the columns of a table: numbers or categories, missing cells, and columns that do not help a model. */

import { DataError, unexpected } from '../data-error.ts';
import { type Column, cellError, isMissing, listed, shownName, shownText, type TableFile } from './table.ts';
import { splitWords } from './vocabulary.ts';

/** `error` refuses, the three fills are fitted on the training rows, and `drop` leaves the row out. */
export const missingPolicies = ['error', 'mean', 'median', 'most-frequent', 'drop'] as const;

/** How missing values are treated. Categories take the most frequent one under every fill. */
export type MissingPolicy = (typeof missingPolicies)[number];

/** Facts about a column after one pass over it. */
export interface SurveyedColumn {
  readonly column: Column;
  readonly type: 'number' | 'category';
  /** Number of missing cells. */
  readonly missing: number;
  /** Number of cells with each category; of a column of numbers, with each text that is neither number nor missing. */
  readonly counts: ReadonlyMap<string, number>;
}

const maxCategories = 256;
const infinities = /^infinity$|^inf$/i;

/** Shared by the many columns of a wide table. */
const noTexts: ReadonlyMap<string, number> = new Map();

/** Surveys a column. A few texts among numbers are mistakes, not categories. */
export function surveyOf(column: Column): SurveyedColumn {
  if (!column.hasText) return { column, type: 'number', missing: 0, counts: noTexts };
  const counts = new Map<string, number>();
  let cells = 0;
  column.eachText((text) => {
    counts.set(text, (counts.get(text) ?? 0) + 1);
    cells += 1;
  });
  const numbers = column.count - cells;
  let texts = 0;
  for (const [text, count] of counts) if (!isMissing(text, 'number') && !infinities.test(text)) texts += count;
  const type = texts > numbers ? 'category' : 'number';
  let missing = 0;
  for (const [text, count] of counts) {
    if (!isMissing(text, type)) continue;
    missing += count;
    counts.delete(text);
  }
  if (type === 'category' && numbers > 0) {
    for (let row = 0; row < column.count; row += 1) {
      if (column.numberAt(row) === undefined) continue;
      const text = column.textAt(row);
      counts.set(text, (counts.get(text) ?? 0) + 1);
    }
  }
  return { column, type, missing, counts };
}

interface ColumnFault {
  readonly column: Column;
  /** Such as `300 texts such as "text 0"`. */
  readonly got: string;
  /** The error, if no other column has a fault. */
  readonly error: () => DataError;
}

/** Refuses columns that cannot be used, all of them in one message. @throws DataError */
export function requireUsable(table: TableFile, surveys: readonly SurveyedColumn[]): void {
  const text = surveys.length > 1 ? surveys.find(isText)?.column : undefined;
  const alternative =
    text === undefined ? '' : `; or to train on the texts of ${shownName(text.name)}, ignore all other columns`;
  const faults = surveys.flatMap((survey) => faultOf(table, survey, alternative) ?? []);
  if (faults.length === 1) throw faults[0]!.error();
  if (faults.length === 0) return;
  const got = faults.map(({ column, got }) => `${shownName(column.name)} (${got})`);
  const advice = `ignore them with --ignore ${faults.map(({ column }) => shownName(column.name)).join()}`;
  throw unexpected(table.name, usable(true), `${shownList(got)}: ${advice}${alternative}`);
}

function usable(areMany: boolean): string {
  return `${areMany ? 'columns of ' : ''}numbers or ${areMany ? 'of ' : ''}at most ${maxCategories} categories`;
}

/** @param alternative what else can be done than to ignore the column; '' for nothing */
function faultOf(table: TableFile, survey: SurveyedColumn, alternative: string): ColumnFault | undefined {
  const { column, type, missing, counts } = survey;
  if (type === 'number' && counts.size > 0) return strayTexts(table, survey);
  const grouped = groupedNumber(survey);
  if (missing < column.count && counts.size <= maxCategories && grouped === undefined) return undefined;
  const example = grouped ?? [...counts.keys()][0];
  const kind = grouped !== undefined ? 'numbers with thousands separators' : areDates(survey) ? 'dates' : 'texts';
  const got = missing === column.count ? 'no values' : `${counts.size} ${kind} such as ${shownText(example!)}`;
  const name = shownName(column.name);
  const advice = `${grouped === undefined ? '' : 'remove the separators, or '}ignore it with --ignore ${name}`;
  const error = () => unexpected(`${table.name}: column ${name}`, usable(false), `${got}: ${advice}${alternative}`);
  return { column, got, error };
}

/** The fault of a column of numbers with texts among them. */
function strayTexts(table: TableFile, { column, counts }: SurveyedColumn): ColumnFault {
  let first = -1;
  let cells = 0;
  column.eachText((text, row) => {
    if (!counts.has(text)) return;
    if (first < 0) first = row;
    cells += 1;
  });
  const others = cells === 1 ? '' : ` and ${cells - 1} more`;
  const error = () => {
    const { message } = cellError(table, first, column, 'a finite number');
    const advice = `${others} texts: correct them, or ignore the column with --ignore ${shownName(column.name)}`;
    return new DataError(others === '' ? message : `${message}${advice}`);
  };
  const got = `${shownText(column.textAt(first))} in ${table.placeOf(first)}${others} among numbers`;
  return { column, got, error };
}

/** A column whose missing values nothing fills. */
export interface UnfilledColumn {
  readonly column: Column;
  readonly type: SurveyedColumn['type'];
  /** Whether rows without its value are dropped; otherwise they are refused. */
  readonly isDropped: boolean;
}

interface MissingCells extends UnfilledColumn {
  readonly count: number;
  readonly first: number;
}

/**
 * Returns the rows that have all values they need.
 * @throws DataError that names all columns whose missing values are refused, or if no row is left
 */
export function usableRows(
  table: TableFile,
  columns: readonly UnfilledColumn[],
  label: Column,
): Uint32Array<ArrayBuffer> {
  const isLeftOut = new Uint8Array(table.count);
  const refused: MissingCells[] = [];
  let leftOut = 0;
  for (const unfilled of columns) {
    const { column, type, isDropped } = unfilled;
    let count = 0;
    let first = -1;
    column.eachText((text, row) => {
      if (!isMissing(text, type)) return;
      if (count === 0) first = row;
      count += 1;
      if (!isDropped || isLeftOut[row] === 1) return;
      isLeftOut[row] = 1;
      leftOut += 1;
    });
    if (count > 0 && !isDropped) refused.push({ ...unfilled, count, first });
  }
  if (refused.length > 0) throw missingError(table, refused, label);
  if (leftOut === table.count) throw unexpected(table.name, 'a row without missing values', 'none');
  const rows = new Uint32Array(table.count - leftOut);
  let at = 0;
  for (let row = 0; row < table.count; row += 1) {
    if (isLeftOut[row] === 1) continue;
    rows[at] = row;
    at += 1;
  }
  return rows;
}

const fillIn = 'fill missing values in with --missing median, mean or most-frequent';
const leaveOut = 'drop such rows with --missing drop';

function missingError(table: TableFile, refused: readonly MissingCells[], label: Column): DataError {
  const [one] = refused;
  const { column, type, count, first } = one!;
  const isLabel = column === label;
  if (refused.length === 1 && (isLabel || count === 1)) {
    const expected = isLabel ? 'a label' : type === 'number' ? 'a finite number' : 'a category';
    const { message } = cellError(table, first, column, expected);
    const others = count === 1 ? '' : `, as in ${count - 1} more`;
    return new DataError(`${message}${others}: ${isLabel ? leaveOut : `${fillIn}, or ${leaveOut}`}`);
  }
  const shown = refused.map((cells, index) => {
    const others = index === 0 ? `${cells.count} of ${table.count} rows` : `${cells.count}`;
    return `${shownName(cells.column.name)} (${cells.count === 1 ? table.placeOf(cells.first) : others})`;
  });
  const advice = `${fillIn}, ${leaveOut}, or ignore columns with --ignore`;
  return unexpected(table.name, 'no missing values', `some in ${shownList(shown)}: ${advice}`);
}

const maxShown = 40;

/** Like `listed`, for parts that are more than names. */
export function shownList(parts: readonly string[]): string {
  if (parts.length <= maxShown) return parts.join(', ');
  return `${parts.slice(0, maxShown).join(', ')}, and ${parts.length - maxShown} more`;
}

/** In fewer rows, different values are no sign of an identifier. */
const fewestRows = 20;
const nearlyAll = 0.9;
const dateForm = /^(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2}))(?:[T ].*)?$/;

function areDates({ type, counts }: SurveyedColumn): boolean {
  if (type === 'number') return false;
  for (const text of counts.keys()) if (!dateForm.test(text)) return false;
  return true;
}

const groupedForm = /^[+-]?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d{1,3}(?:\.\d{3})+,\d+)$/;
const plainForm = /^[+-]?\d+(?:[.,]\d+)?$/;

/** Returns the first number with thousands separators of a column of such numbers; undefined for other columns. */
function groupedNumber({ type, counts }: SurveyedColumn): string | undefined {
  if (type === 'number') return undefined;
  let first: string | undefined;
  for (const text of counts.keys()) {
    if (groupedForm.test(text)) first ??= text;
    else if (!plainForm.test(text) && !isMissing(text, 'number')) return undefined;
  }
  return first;
}

/** Fewest words of a text on average; names, codes and categories have fewer. */
const fewestWords = 3;

/** Whether a column consists of texts to read word by word. */
export function isText(survey: SurveyedColumn): boolean {
  return otherThanText(survey, false) === undefined;
}

/**
 * Returns what a column consists of instead of texts to read word by word; undefined if it consists of texts.
 * @param isAsked whether texts were asked for; otherwise they are too different to be categories
 */
export function otherThanText(survey: SurveyedColumn, isAsked: boolean): string | undefined {
  const { type, counts } = survey;
  if (type === 'number') return 'numbers';
  if (areDates(survey)) return 'dates';
  if (!isAsked && counts.size <= maxCategories && !isIdentifier(survey)) return 'categories';
  let words = 0;
  const splitting = splitWords(survey.column.name, () => {
    words += 1;
  });
  const encoder = new TextEncoder();
  for (const text of counts.keys()) splitting.take(encoder.encode(`${text}\n`));
  splitting.end();
  return words >= fewestWords * counts.size ? undefined : `texts of fewer than ${fewestWords} words on average`;
}

/** Whether nearly every row has its own text, or whole numbers grow or count the rows in any order. */
function isIdentifier({ column, type, missing, counts }: SurveyedColumn): boolean {
  const { count } = column;
  if (count < fewestRows) return false;
  if (type === 'category') return counts.size >= nearlyAll * (count - missing);
  if (missing > 0) return false;
  let least = Number.POSITIVE_INFINITY;
  let most = Number.NEGATIVE_INFINITY;
  let isGrowing = true;
  for (let row = 0; row < count; row += 1) {
    const value = column.numberAt(row)!;
    if (!Number.isSafeInteger(value)) return false;
    isGrowing &&= value > most;
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  if (isGrowing) return true;
  if (most - least + 1 !== count) return false;
  const isSeen = new Uint8Array(count);
  for (let row = 0; row < count; row += 1) isSeen[column.numberAt(row)! - least] = 1;
  return !isSeen.includes(0);
}

function isConstant({ column, type, missing, counts }: SurveyedColumn): boolean {
  if (missing > 0 || column.count < 2) return false;
  if (type === 'category') return counts.size === 1;
  const first = column.numberAt(0);
  for (let row = 1; row < column.count; row += 1) if (column.numberAt(row) !== first) return false;
  return true;
}

/** Whether all texts are numbers without thousands separators, some with a decimal comma. */
function areDecimalCommas({ type, counts }: SurveyedColumn): boolean {
  if (type === 'number') return false;
  const texts = [...counts.keys()];
  return texts.every((text) => plainForm.test(text)) && texts.some((text) => text.includes(','));
}

interface Doubt {
  readonly is: (survey: SurveyedColumn) => boolean;
  readonly what: string;
  /** How the column could help. */
  readonly remedy?: string;
}

/** Columns that can be used, but seldom help; the first kind that a column is of counts. */
const doubtful: readonly Doubt[] = [
  {
    is: areDecimalCommas,
    what: 'each number with a decimal comma becomes a category',
    remedy: 'write decimals with a point, as in 3.5, or ',
  },
  { is: areDates, what: 'each date becomes a category' },
  { is: isIdentifier, what: 'different in nearly every row' },
  { is: isConstant, what: 'equal in all rows' },
];

/** Returns a line for each kind of column that seldom helps, with the option that leaves them out. */
export function doubtfulColumns(surveys: readonly SurveyedColumn[]): string[] {
  const kinds = surveys.map((survey) => doubtful.find(({ is }) => is(survey)));
  return doubtful.flatMap((kind) => {
    const { what, remedy = '' } = kind;
    const names = surveys.filter((_, index) => kinds[index] === kind).map(({ column }) => column.name);
    // Without all of its columns, nothing would be left of a table.
    if (names.length === 0 || (names.length === surveys.length && remedy === '')) return [];
    const them = names.length === 1 ? 'it' : 'them';
    return [`${listed(names)}: ${what}; ${remedy}ignore ${them} with --ignore ${names.map(shownName).join()}`];
  });
}
