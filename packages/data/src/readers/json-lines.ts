/** Reads JSON Lines: an object a line, either flat like a row of a table, or with an array of numbers beside the label. */
import { DataError } from '../data-error.ts';
import { Column } from './column.ts';
import { flatten, nestedShape } from './nested-values.ts';
import { checkColumnNames, listed, shownText, type Table } from './table.ts';
import { decodeText } from './text.ts';

/** The objects of a file as a table, and their arrays as samples. */
export interface JsonLines {
  /** Of all keys but the one with the arrays. */
  readonly table: Table;
  /** Of objects with arrays: float32, [count, ...shape]. */
  readonly samples?: { readonly values: Float32Array; readonly shape: readonly number[] };
}

type JsonObject = Readonly<Record<string, unknown>>;

const sampleKeys = ['features', 'sample'];

/**
 * A JSON Lines file as a table, or as samples with their labels.
 * @param name of the file, for messages. @throws DataError with the line
 */
export function parseJsonLines(bytes: Uint8Array, name: string): JsonLines {
  const lines = decodeText(bytes, name).split('\n');
  const numbers = lines.flatMap((line, index) => (line.trim() === '' ? [] : [index + 1]));
  if (numbers.length === 0) throw new DataError(`${name}: expected a JSON object in each line, got an empty file`);
  const objectAt = (row: number) => parseObject(lines[numbers[row]! - 1]!, `${name}: line ${numbers[row]}`);
  const first = objectAt(0);
  const sampleKey = sampleKeys.find((key) => Array.isArray(first[key]));
  const columns = Object.keys(first)
    .filter((key) => key !== sampleKey)
    .map((key) => new Column(key));
  checkColumnNames(
    name,
    columns.map((column) => column.name),
    0,
  );
  const shape = sampleKey === undefined ? [] : nestedShape(first[sampleKey]);
  const size = shape.reduce((product, length) => product * length, 1);
  const values = new Float32Array(sampleKey === undefined ? 0 : numbers.length * size);
  numbers.forEach((line, row) => {
    const place = `${name}: line ${line}`;
    const object = row === 0 ? first : objectAt(row);
    pushObject(columns, object, sampleKey, place);
    if (sampleKey === undefined) return;
    const fault = flatten(object[sampleKey], shape, values, row * size);
    if (fault !== undefined) throw new DataError(`${place}, ${sampleKey}: ${fault}`);
  });
  const table = { name, columns, count: numbers.length, placeOf: (row: number) => `line ${numbers[row]}` };
  return sampleKey === undefined ? { table } : { table, samples: { values, shape } };
}

function parseObject(line: string, place: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    value = undefined;
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
  throw new DataError(`${place}: expected a JSON object, got ${shownText(line.trim())}`);
}

function pushObject(
  columns: readonly Column[],
  object: JsonObject,
  sampleKey: string | undefined,
  place: string,
): void {
  const isKnown = (key: string) => key === sampleKey || columns.some(({ name }) => name === key);
  const unknown = Object.keys(object).find((key) => !isKnown(key));
  if (unknown !== undefined) {
    const expected = `the keys of the first line (${listed(columns.map(({ name }) => name))})`;
    throw new DataError(`${place}: expected ${expected}, got ${shownText(unknown)} as well`);
  }
  for (const column of columns) {
    const value = Object.hasOwn(object, column.name) ? object[column.name] : null;
    if (typeof value === 'object' && value !== null) {
      const got = Array.isArray(value) ? 'a list' : 'an object';
      throw new DataError(`${place}, ${column.name}: expected a number or a text, got ${got}`);
    }
    column.push(typeof value === 'number' ? value : value === null ? '' : `${value}`);
  }
}
