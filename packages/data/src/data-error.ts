/** The error for data that cannot be used, and the limits beyond which data are refused. */
import { shownLine, shownValue, thousands } from './shown.ts';

/**
 * Thrown for data that cannot be used. The message is one sentence that names the file, what was
 * expected and what was found; terminal control characters are escaped.
 */
export class DataError extends Error {
  override readonly name = 'DataError';

  constructor(message: string) {
    super(shownLine(message));
  }
}

/** The error whose message is `PLACE: expected EXPECTED, got GOT`. */
export function unexpected(place: string, expected: string, got: unknown): DataError {
  return new DataError(`${place}: expected ${expected}, got ${got}`);
}

/** Requires a whole number from `from` to `to`, inclusive. @throws RangeError with one sentence otherwise */
export function checkWhole(name: string, value: number, from: number, to: number = Number.MAX_SAFE_INTEGER): void {
  if (Number.isSafeInteger(value) && value >= from && value <= to) return;
  const range = to === Number.MAX_SAFE_INTEGER ? `of at least ${from}` : `from ${from} to ${to}`;
  throw new RangeError(`${name}: expected a whole number ${range}, got ${value}`);
}

/** A kind of argument, and the words for it in an error. */
export interface ArgumentKind {
  /** Follows "expected". */
  readonly expected: string;
  accepts(value: unknown): boolean;
}

/** Requires arguments of these kinds. @throws Error with one sentence that begins with the name of the function */
export function checkArguments(
  name: string,
  ...given: readonly (readonly [kind: ArgumentKind, value: unknown])[]
): void {
  for (const [{ expected, accepts }, value] of given) {
    if (!accepts(value)) throw new Error(`${name}: expected ${expected}, got ${shownValue(value)}`);
  }
}

/** Refuses options that a function does not know. @throws Error with one sentence that begins with its name */
export function checkKnown(name: string, options: object, known: readonly string[]): void {
  const unknown = Object.keys(options).find((key) => !known.includes(key));
  if (unknown === undefined) return;
  throw new Error(`${name}: expected the options ${known.join(', ')}, got ${shownLine(unknown, 40)}`);
}

/** An object, not a list, that has these keys. */
export function objectWith(expected: string, ...keys: readonly string[]): ArgumentKind {
  const accepts = (value: unknown): boolean =>
    typeof value === 'object' && value !== null && !Array.isArray(value) && keys.every((key) => key in value);
  return { expected, accepts };
}

/** A list of any length; `items` completes the message: `a list of names`. */
export function listArgument(items: string): ArgumentKind {
  return { expected: `a list of ${items}`, accepts: Array.isArray };
}

/** Kinds of arguments that several functions take. */
export const argumentKinds = {
  text: { expected: 'a text', accepts: (value) => typeof value === 'string' },
  path: { expected: 'a path', accepts: (value) => typeof value === 'string' },
  bytes: { expected: 'bytes as a Uint8Array', accepts: (value) => value instanceof Uint8Array },
  numbers: { expected: 'numbers as a typed array', accepts: ArrayBuffer.isView },
  options: objectWith('an object of options'),
  dataset: objectWith('a data set, which openDataset and datasetFrom give', 'samples', 'targets', 'count'),
  field: objectWith('a field of samples or targets', 'dtype', 'shape', 'role'),
  table: objectWith('a table, which parseDelimited and parseParquet give', 'name', 'columns', 'count'),
  features: listArgument('features'),
  rows: listArgument('rows'),
  names: listArgument('names'),
  files: listArgument('files'),
} as const satisfies Readonly<Record<string, ArgumentKind>>;

/** Maximum bytes of a file, packed or unpacked. */
export const maxFileBytes = 2 ** 30;
/** Maximum bytes of a text, which has to fit in one JavaScript string. */
export const maxTextBytes = 2 ** 29 - 2 ** 16;
/** Maximum bytes of a line: more than a color picture of 1,024 x 1,024 pixels takes in JSON. */
export const maxLineBytes = 2 ** 24;
/** Maximum number of columns: a model takes at most 65,536, and others may be ignored. */
export const maxColumns = 100_000;
/** Maximum nesting depth of lists. */
export const maxNesting = 8;
/** Maximum pixels of one picture: more than a 60-megapixel camera takes. */
export const maxPicturePixels = 2 ** 26;

/** Limits on the contents of a file: `free` for any size, `perByte` as stored for a larger one, at most `most`. */
const limits = {
  /** A small file may compress well. */
  values: { free: 2 ** 22, perByte: 16, most: 2 ** 27 },
  /** However well it is packed, a meaningful row takes two bits. */
  rows: { free: 2 ** 19, perByte: 4, most: Number.POSITIVE_INFINITY },
  unpackedBytes: { free: 2 ** 26, perByte: 64, most: maxFileBytes },
  /** A scanned black-and-white page has nearly 256 pixels for each byte. */
  decodedPixels: { free: 2 ** 27, perByte: 256, most: Number.POSITIVE_INFINITY },
  /** Pixels that a model sees. */
  pixelBytes: { free: 2 ** 28, perByte: 64, most: 2 ** 31 },
} as const;

/** Returns the limit for a file of `fileBytes`, as stored; of any file if omitted. */
export function limitOf(what: keyof typeof limits, fileBytes = Number.POSITIVE_INFINITY): number {
  const { free, perByte, most } = limits[what];
  return Math.min(most, Math.max(free, perByte * fileBytes));
}

/** Checks the number of values before memory is allocated. @throws DataError whose message begins with `name` */
export function requireValues(name: string, rows: number, columns: number, fileBytes: number): void {
  const most = limitOf('values', fileBytes);
  if (rows * columns <= most) return;
  const got = `${thousands(rows)} rows of ${thousands(columns)}`;
  throw unexpected(name, `at most ${thousands(most)} values in a file of its size`, got);
}

/** Checks the number of rows or lines while they are counted. @throws DataError whose message begins with `name` */
export function requireRows(name: string, what: 'images' | 'lines' | 'rows', count: number, fileBytes: number): void {
  const most = limitOf('rows', fileBytes);
  if (count > most) throw unexpected(name, `at most ${thousands(most)} ${what} in a file of its size`, 'more');
}

/** @throws DataError whose message begins with `place`: the file's name, or its name and line */
export function requireColumns(place: string, count: number): void {
  if (count > maxColumns) throw unexpected(place, `at most ${thousands(maxColumns)} columns`, thousands(count));
}
