/** The column of a table that a model learns, as classes or as values. */
import { DataError } from '../data-error.ts';
import { maxClasses, type Standardization, type Targets } from '../dataset.ts';
import { sortedNames } from './class-names.ts';
import type { Column } from './column.ts';
import { momentsOf, requireNumber } from './features.ts';
import { cellError, listed, requireColumn, shownName, shownText, type Table } from './table.ts';

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
export function labelColumn(table: Table, label: string | undefined): Column {
  if (label !== undefined) return requireColumn(table, label, 'the label');
  const usual = usualNames.map((name) => table.columns.find((column) => column.name.toLowerCase() === name));
  const found = usual.find((column) => column !== undefined) ?? table.columns.at(-1);
  if (!found) throw new DataError(`${table.name}: expected a column with the label, got no columns`);
  return found;
}

/** Returns the classes of all rows, in the order of their numbers. @throws DataError if the cells are not classes */
export function classesOf(table: Table, column: Column): string[] {
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
  table: Table,
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
  table: Table,
  column: Column,
  names: readonly string[] | undefined,
  standardization?: Standardization,
): Targets {
  return names ? classTargets(table, column, names) : valueTargets(table, column, standardization);
}

function classTargets(table: Table, column: Column, names: readonly string[]): Targets {
  const indexOf = new Map(names.map((name, index) => [name, index]));
  const labels = Uint16Array.from({ length: table.count }, (_, row) => {
    const index = indexOf.get(column.textAt(row));
    if (index === undefined) throw cellError(table, row, column, `one of the classes to train with (${listed(names)})`);
    return index;
  });
  return { type: 'classes', labels, names };
}

function valueTargets(table: Table, column: Column, standardization: Standardization | undefined): Targets {
  const { mean, deviation } = standardization ?? { mean: 0, deviation: 1 };
  const values = Float32Array.from({ length: table.count }, (_, row) => {
    const value = Math.fround((requireNumber(table, column, row) - mean) / deviation);
    if (!Number.isFinite(value)) throw cellError(table, row, column, 'a number that float32 can hold');
    return value;
  });
  return { type: 'values', values, names: [column.name], ...(standardization && { standardization }) };
}
