/** Rows and named columns, whatever file they come from. */
import { shownLine } from '@lockstep/files/shown';
import { DataError } from '../data-error.ts';
import type { Column } from './column.ts';

/** Rows of a file by columns, whose cells are texts or numbers. */
export interface Table {
  /** Of the file; messages begin with it. */
  readonly name: string;
  readonly columns: readonly Column[];
  readonly count: number;
  /** Where a row stands in the file, such as `line 12`. */
  readonly placeOf: (row: number) => string;
}

const maxShownLength = 40;
const maxNameLength = 80;
const maxListed = 10;

/** A text in quotes, shortened. */
export function shownText(text: string): string {
  return JSON.stringify(text.length <= maxShownLength ? text : `${text.slice(0, maxShownLength)}…`);
}

/** A name without quotes, shortened. */
export function shownName(name: string): string {
  return shownLine(name, maxNameLength);
}

/** Names with commas between them; of many, the first ones and how many more. */
export function listed(names: readonly string[]): string {
  const shown = names.slice(0, maxListed + 1).map(shownName);
  if (names.length <= maxListed + 1) return shown.join(', ');
  return `${shown.slice(0, maxListed).join(', ')}, and ${names.length - maxListed} more`;
}

/** The error for one cell. */
export function cellError(table: Table, row: number, column: Column, expected: string): DataError {
  const text = column.textAt(row);
  const got = text === '' ? 'none' : column.numberAt(row) === undefined ? shownText(text) : text;
  const place = `${table.placeOf(row)}, column ${shownName(column.name)}`;
  return new DataError(`${table.name}: ${place}: expected ${expected}, got ${got}`);
}

/** @throws DataError where there is no column of this name; `use` says what asks for it */
export function requireColumn(table: Table, name: string, use: string): Column {
  return columnFinder(table)(name, use);
}

/** As `requireColumn`, for many names of one table. */
export function columnFinder(table: Table): (name: string, use: string) => Column {
  const columns = new Map(table.columns.map((column) => [column.name, column]));
  return (name, use) => {
    const column = columns.get(name);
    if (column) return column;
    const got = listed([...columns.keys()]);
    throw new DataError(`${table.name}: expected a column ${shownText(name)}, ${use}, got ${got}`);
  };
}

/** @throws DataError where two columns have one name, or one from `first` on has none */
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
