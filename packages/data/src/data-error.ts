/** The error for data that cannot be used, and the limits beyond which data are refused. */
import { shownLine } from './shown.ts';

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

/** Requires a whole number from `from` to `to`, inclusive. @throws RangeError with one sentence otherwise */
export function checkWhole(name: string, value: number, from: number, to: number = Number.MAX_SAFE_INTEGER): void {
  if (Number.isSafeInteger(value) && value >= from && value <= to) return;
  const range = to === Number.MAX_SAFE_INTEGER ? `of at least ${from}` : `from ${from} to ${to}`;
  throw new RangeError(`${name}: expected a whole number ${range}, got ${value}`);
}

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

const mostValues = 2 ** 27;
/** Allowed in a file of any size: a small file may compress well. */
const freeValues = 2 ** 22;
const valuesPerByte = 16;
const freeRows = 2 ** 19;
/** However well it is packed, a meaningful row takes two bits. */
const rowsPerByte = 4;
const freeUnpackedBytes = 2 ** 26;
const unpackedPerByte = 64;

const freePixels = 2 ** 27;
/** A scanned black-and-white page has nearly as many. */
const pixelsPerByte = 256;

/** Returns the maximum number of values for a file of `fileBytes`, as stored. */
function valueLimit(fileBytes: number): number {
  return Math.min(mostValues, Math.max(freeValues, valuesPerByte * fileBytes));
}

/** Returns the maximum bytes that a packed file of `fileBytes` may unpack to. */
export function unpackedLimit(fileBytes: number): number {
  return Math.min(maxFileBytes, Math.max(freeUnpackedBytes, unpackedPerByte * fileBytes));
}

/**
 * Checks the number of values before memory is allocated.
 * @throws DataError whose message begins with the file's name
 */
export function requireValues(name: string, rows: number, columns: number, fileBytes: number): void {
  const most = valueLimit(fileBytes);
  if (rows * columns <= most) return;
  const expected = `at most ${most.toLocaleString('en-US')} values in a file of its size`;
  const got = `${rows.toLocaleString('en-US')} rows of ${columns.toLocaleString('en-US')}`;
  throw new DataError(`${name}: expected ${expected}, got ${got}`);
}

/**
 * Checks the number of rows or lines of a file while they are counted.
 * @throws DataError whose message begins with the file's name
 */
export function requireRows(name: string, what: 'images' | 'lines' | 'rows', count: number, fileBytes: number): void {
  const most = Math.max(freeRows, rowsPerByte * fileBytes);
  if (count <= most) return;
  throw new DataError(
    `${name}: expected at most ${most.toLocaleString('en-US')} ${what} in a file of its size, got more`,
  );
}

/**
 * Checks the pixels of a folder of pictures before any is decoded.
 * @throws DataError whose message begins with the folder's name
 */
export function requirePixels(name: string, pixels: number, fileBytes: number): void {
  const most = Math.max(freePixels, pixelsPerByte * fileBytes);
  if (pixels <= most) return;
  const [expected, got] = [most, pixels].map(
    (count) => `${Math.ceil(count / 2 ** 20).toLocaleString('en-US')} megapixels`,
  );
  throw new DataError(`${name}: expected pictures of at most ${expected} in files of their size, got ${got}`);
}

/** @throws DataError whose message begins with `place`: the file's name, or its name and line */
export function requireColumns(place: string, count: number): void {
  if (count <= maxColumns) return;
  const got = count.toLocaleString('en-US');
  throw new DataError(`${place}: expected at most ${maxColumns.toLocaleString('en-US')} columns, got ${got}`);
}
