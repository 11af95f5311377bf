/**
 * Reads JSON Lines: one object per line, either flat like a table row, or with an array of numbers next to the label.
 */

import { argumentKinds, checkArguments, DataError, requireColumns, requireValues, unexpected } from '../data-error.ts';
import { thousands } from '../shown.ts';
import { flatten, nestedShape } from './dataset-from.ts';
import { Cells, checkColumnNames, columnsOf, listed, shownName, shownText, type TableFile } from './table.ts';
import { decodeText, TextGate } from './text.ts';

/** The objects of a file as a table, and their arrays as samples. */
export interface JsonLines {
  /** Table of all keys except the key of the arrays. */
  readonly table: TableFile;
  /** Arrays of the objects, if they have any: float32, [count, ...shape]. */
  readonly samples?: { readonly values: Float32Array; readonly shape: readonly number[] };
}

type JsonObject = Readonly<Record<string, unknown>>;

/** Layout of all lines, taken from the first. */
interface Form {
  /** Keys in the order of their columns. */
  readonly keys: readonly string[];
  readonly indexOf: ReadonlyMap<string, number>;
  /** Key of the arrays. */
  readonly sampleKey: string | undefined;
  readonly shape: readonly number[];
  /** Whether objects have more keys than `JSON.parse` keeps in a fast layout. Beyond that, it builds a hash table. */
  readonly isWide: boolean;
}

const wideKeys = 1_000;
/** A key, its value as a text or anything else that has no parts, and what follows. Escaped characters do not match. */
const pairForm =
  /[ \t]*"([^"\\\p{Cc}]*)"[ \t]*:[ \t]*(?:"([^"\\\p{Cc}]*)"|(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)|(true|false|null))[ \t]*([,}])/uy;

/** Maximum lists and objects in a line: a picture of 1,024 x 1,024 pixels has a list for each pixel. */
const maxParts = 2 ** 21;
const openingBracket = 0x5b;
const openingBrace = 0x7b;
const sampleKeys = ['features', 'sample'];

/**
 * Parses a JSON Lines file as a table, or as samples with their labels.
 * @param name name of the file, for messages
 * @param fileBytes size of the file as stored, possibly packed
 * @param gate may already have taken the bytes
 * @throws DataError that names the line
 */
export function parseJsonLines(
  bytes: Uint8Array,
  name: string,
  fileBytes: number = bytes?.length,
  gate = new TextGate(name, false),
): JsonLines {
  checkArguments('parseJsonLines', [argumentKinds.bytes, bytes], [argumentKinds.text, name]);
  const text = decodeText(bytes, name, gate, fileBytes);
  const count = countOf(text);
  if (count === 0) throw unexpected(name, 'a JSON object in each line', 'an empty file');
  const lineOf: number[] = [];
  let form: Form | undefined;
  let cells = new Cells(name, 0, fileBytes);
  let values = new Float32Array();
  let size = 0;
  eachLine(text, (content, line) => {
    const place = `${name}: line ${line}`;
    const inOrder = form?.isWide ? valuesInOrder(content, form.keys) : undefined;
    if (inOrder) {
      const row = lineOf.push(line) - 1;
      for (const [column, value] of inOrder.entries()) cells.set(row, column, value);
      return;
    }
    const object = parseObject(content, place);
    if (form === undefined) {
      form = formOf(object, name);
      size = form.sampleKey === undefined ? 0 : form.shape.reduce((product, length) => product * length, 1);
      requireValues(name, count, form.keys.length + size + listsOf(form.shape), fileBytes);
      cells = new Cells(name, form.keys.length, fileBytes);
      values = new Float32Array(count * size);
    }
    const row = lineOf.push(line) - 1;
    setObject(cells, row, form, object, place);
    if (form.sampleKey === undefined) return;
    const fault = flatten(object[form.sampleKey], form.shape, values, row * size);
    if (fault !== undefined) throw new DataError(`${place}, ${form.sampleKey}: ${fault}`);
  });
  const { keys, sampleKey, shape } = form!;
  const columns = columnsOf(keys, cells, count);
  const table = { name, columns, count, placeOf: (row: number) => `line ${lineOf[row]}` };
  return sampleKey === undefined ? { table } : { table, samples: { values, shape } };
}

/** Calls `take` with each line that is not blank, and its number. */
function eachLine(text: string, take: (content: string, line: number) => void): void {
  let line = 1;
  for (let from = 0; from < text.length; line += 1) {
    const feed = text.indexOf('\n', from);
    const end = feed < 0 ? text.length : feed;
    const content = text.slice(from, end);
    if (/\S/.test(content)) take(content, line);
    from = end + 1;
  }
}

function countOf(text: string): number {
  let count = 0;
  eachLine(text, () => {
    count += 1;
  });
  return count;
}

function parseObject(line: string, place: string): JsonObject {
  requireParts(line, place);
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    value = undefined;
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
  throw unexpected(place, 'a JSON object', shownText(line.trim()));
}

/**
 * Reads the cells of a wide object without parsing it, which takes several times as long.
 * @returns undefined if the line is not exactly an object with these keys in this order, whose values are simple
 */
function valuesInOrder(line: string, keys: readonly string[]): (string | number)[] | undefined {
  if (!/^[ \t]*\{.*\}[ \t]*$/.test(line)) return undefined;
  pairForm.lastIndex = line.indexOf('{') + 1;
  const values: (string | number)[] = [];
  for (const [index, key] of keys.entries()) {
    const [, name, text, number, word, next] = pairForm.exec(line) ?? [];
    if (name !== key || next !== (index < keys.length - 1 ? ',' : '}')) return undefined;
    values.push(text ?? (number === undefined ? (word === 'null' ? '' : word!) : Number(number)));
  }
  return pairForm.lastIndex === line.lastIndexOf('}') + 1 ? values : undefined;
}

/** Limits the lists and objects of a line, which take far more memory than their two brackets. @throws DataError */
function requireParts(line: string, place: string): void {
  if (line.length <= maxParts) return;
  let count = 0;
  for (let at = 0; at < line.length; at += 1) {
    const code = line.charCodeAt(at);
    if (code === openingBracket || code === openingBrace) count += 1;
  }
  if (count <= maxParts) return;
  const most = thousands(maxParts);
  throw unexpected(place, `at most ${most} lists and objects`, thousands(count));
}

function formOf(first: JsonObject, name: string): Form {
  const sampleKey = sampleKeys.find((key) => Array.isArray(first[key]));
  const keys = Object.keys(first).filter((key) => key !== sampleKey);
  if (keys.length === 0) {
    const got = sampleKey === undefined ? 'an empty one' : `${sampleKey} alone`;
    throw unexpected(`${name}: line 1`, 'an object with a label', got);
  }
  requireColumns(`${name}: line 1`, keys.length);
  checkColumnNames(name, keys, 0);
  const shape = sampleKey === undefined ? [] : nestedShape(first[sampleKey]);
  if (shape.includes(0)) throw unexpected(`${name}: line 1, ${sampleKey}`, 'numbers', 'an empty list');
  return {
    keys,
    indexOf: new Map(keys.map((key, index) => [key, index])),
    sampleKey,
    shape,
    isWide: sampleKey === undefined && keys.length > wideKeys,
  };
}

/** Counts the lists in an array of this shape: a list takes more memory than a number. */
function listsOf(shape: readonly number[]): number {
  let inLevel = 1;
  let count = 0;
  for (const length of shape) {
    count += inLevel;
    inLevel *= length;
  }
  return count;
}

function setObject(cells: Cells, row: number, form: Form, object: JsonObject, place: string): void {
  const { keys, indexOf, sampleKey } = form;
  const unknown = Object.keys(object).find((key) => key !== sampleKey && !indexOf.has(key));
  if (unknown !== undefined) {
    throw unexpected(place, `the keys of the first line (${listed(keys)})`, `${shownText(unknown)} as well`);
  }
  keys.forEach((key, column) => {
    const value = Object.hasOwn(object, key) ? object[key] : null;
    if (typeof value === 'object' && value !== null) {
      const got = Array.isArray(value) ? 'a list' : 'an object';
      throw unexpected(`${place}, ${shownName(key)}`, 'a number or a text', got);
    }
    cells.set(row, column, typeof value === 'number' ? value : value === null ? '' : `${value}`);
  });
}
