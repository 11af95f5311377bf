/** Rows and named columns, from any file format. */

import { DataError } from '../data-error.ts';
import { shownLine } from '../shown.ts';
import type { Column } from './column.ts';

/** Rows of a file, stored by columns, whose cells are texts or numbers. */
export interface Table {
  /** Name of the file, which begins messages. */
  readonly name: string;
  readonly columns: readonly Column[];
  readonly count: number;
  /** Returns the place of a row in the file, such as `line 12`. */
  readonly placeOf: (row: number) => string;
}

const maxShownLength = 40;
const maxNameLength = 80;
const maxListed = 10;

/** Quotes and shortens a text. */
export function shownText(text: string): string {
  return JSON.stringify(text.length <= maxShownLength ? text : `${text.slice(0, maxShownLength)}…`);
}

/** Shortens a name without quoting it. */
export function shownName(name: string): string {
  return shownLine(name, maxNameLength);
}

/** Joins names with commas; of many, shows the first ones and the number of others. */
export function listed(names: readonly string[]): string {
  const shown = names.slice(0, maxListed + 1).map(shownName);
  if (names.length <= maxListed + 1) return shown.join(', ');
  return `${shown.slice(0, maxListed).join(', ')}, and ${names.length - maxListed} more`;
}

/** Creates the error for one cell. */
export function cellError(table: Table, row: number, column: Column, expected: string): DataError {
  const text = column.textAt(row);
  const got = text === '' ? 'none' : column.numberAt(row) === undefined ? shownText(text) : text;
  const place = `${table.placeOf(row)}, column ${shownName(column.name)}`;
  return new DataError(`${table.name}: ${place}: expected ${expected}, got ${got}`);
}

/** Returns a column. @throws DataError if there is no column with this name; `use` says what needs it */
export function requireColumn(table: Table, name: string, use: string): Column {
  return columnFinder(table)(name, use);
}

/** Like `requireColumn`, for many names of one table. */
export function columnFinder(table: Table): (name: string, use: string) => Column {
  const columns = new Map(table.columns.map((column) => [column.name, column]));
  return (name, use) => {
    const column = columns.get(name);
    if (column) return column;
    const got = listed([...columns.keys()]);
    throw new DataError(`${table.name}: expected a column ${shownText(name)}, ${use}, got ${got}`);
  };
}

/** Checks the names from index `first` on. @throws DataError if two are equal or one is empty */
export function checkColumnNames(fileName: string, names: readonly string[], first: number): void {
  const seen = new Map<string, number>();
  names.forEach((name, index) => {
    if (index < first) return;
    if (name === '') throw new DataError(`${fileName}: line 1: expected a name for column ${index + 1}, got none`);
    const earlier = seen.get(name);
    seen.set(name, index);
    if (earlier === undefined) return;
    const got = `${shownText(name)} for columns ${earlier + 1} and ${index + 1}`;
    throw new DataError(`${fileName}: line 1: expected a different name for each column, got ${got}`);
  });
}
