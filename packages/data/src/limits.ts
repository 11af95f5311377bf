/** How much of a file is read: no more than a machine holds, and no more than a file of that size can honestly hold. */
import { DataError } from './data-error.ts';

/** Most bytes of a file, packed or not. */
export const maxFileBytes = 2 ** 30;
/** Most bytes of a text, which has to fit one string of the engine. */
export const maxTextBytes = 2 ** 29 - 2 ** 16;
/** Most bytes of one line: a color picture of 1,024 x 1,024 pixels in JSON has fewer. */
export const maxLineBytes = 2 ** 24;
/** A model takes at most 65,536 of them; others may be ignored. */
export const maxColumns = 100_000;
/** Lists in lists. */
export const maxNesting = 8;
/** Most pixels of one picture: more than a camera of 60 megapixels takes. */
export const maxPicturePixels = 2 ** 26;

const mostValues = 2 ** 27;
/** A small file may be packed well. */
const freeValues = 2 ** 22;
const valuesPerByte = 16;
const freeRows = 2 ** 19;
/** A row that says anything takes two bits, however well it is packed. */
const rowsPerByte = 4;
const freeUnpackedBytes = 2 ** 26;
const unpackedPerByte = 64;

const freePixels = 2 ** 27;
/** A scanned page in black and white has nearly as many. */
const pixelsPerByte = 256;

/** Most values of a file that takes `fileBytes` where it lies. */
export function valueLimit(fileBytes: number): number {
  return Math.min(mostValues, Math.max(freeValues, valuesPerByte * fileBytes));
}

/** Most bytes that a packed file of `fileBytes` may unpack to. */
export function unpackedLimit(fileBytes: number): number {
  return Math.min(maxFileBytes, Math.max(freeUnpackedBytes, unpackedPerByte * fileBytes));
}

/** Checks a number of values before memory is taken for them. @throws DataError that begins with the file's name */
export function requireValues(name: string, rows: number, columns: number, fileBytes: number): void {
  const most = valueLimit(fileBytes);
  if (rows * columns <= most) return;
  const expected = `at most ${most.toLocaleString('en-US')} values in a file of its size`;
  const got = `${rows.toLocaleString('en-US')} rows of ${columns.toLocaleString('en-US')}`;
  throw new DataError(`${name}: expected ${expected}, got ${got}`);
}

/** Checks the rows of a file, or its lines, as they are counted. @throws DataError that begins with the file's name */
export function requireRows(name: string, what: 'images' | 'lines' | 'rows', count: number, fileBytes: number): void {
  const most = Math.max(freeRows, rowsPerByte * fileBytes);
  if (count <= most) return;
  throw new DataError(
    `${name}: expected at most ${most.toLocaleString('en-US')} ${what} in a file of its size, got more`,
  );
}

/** Checks the pixels of a folder of pictures before any is decoded. @throws DataError that begins with the folder's name */
export function requirePixels(name: string, pixels: number, fileBytes: number): void {
  const most = Math.max(freePixels, pixelsPerByte * fileBytes);
  if (pixels <= most) return;
  const [expected, got] = [most, pixels].map(
    (count) => `${Math.ceil(count / 2 ** 20).toLocaleString('en-US')} megapixels`,
  );
  throw new DataError(`${name}: expected pictures of at most ${expected} in files of their size, got ${got}`);
}

/** @throws DataError that begins with the file's name, or its name and line */
export function requireColumns(place: string, count: number): void {
  if (count <= maxColumns) return;
  const got = count.toLocaleString('en-US');
  throw new DataError(`${place}: expected at most ${maxColumns.toLocaleString('en-US')} columns, got ${got}`);
}
