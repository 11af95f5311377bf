/**
 * Reads CSV and TSV as in RFC 4180: a header row, cells between commas, semicolons or tabs, quotes, quoted line breaks.
 */
import { argumentKinds, checkArguments, type DataError, maxColumns, unexpected } from '../data-error.ts';
import { Cells, checkColumnNames, columnsOf, exactDigits, shownText, type TableFile } from './table.ts';
import { lineFeed, notUtf8, quote, space, TextGate, textBytes } from './text.ts';

const plus = 0x2b;
const minus = 0x2d;
const dot = 0x2e;
const zero = 0x30;
const nine = 0x39;
/** Characters of a cell whose quotes are replaced at once, so that the list of the parts between them stays small. */
const pieceLength = 2 ** 16;
/** If semicolons separate the cells, a number may have a decimal comma. */
const decimalComma = /^\s*([+-]?\d*),(\d+(?:e[+-]?\d+)?)\s*$/i;
const numeric = /^[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:e[+-]?\d+)?$/i;

/**
 * Parses a CSV or TSV file as a table.
 * @param name name of the file, for messages
 * @param fileBytes size of the file as stored, possibly packed
 * @param gate may already have taken the bytes
 * @throws DataError
 */
export function parseDelimited(
  bytes: Uint8Array,
  name: string,
  fileBytes: number = bytes?.length,
  gate = new TextGate(name, true),
): TableFile {
  checkArguments('parseDelimited', [argumentKinds.bytes, bytes], [argumentKinds.text, name]);
  const content = textBytes(bytes, gate, fileBytes);
  const { delimiter } = gate;
  const source: Source = {
    bytes: content,
    separator: delimiter.charCodeAt(0),
    hasDecimalCommas: delimiter === ';',
    name,
  };
  const rowLines: number[] = [];
  let line = 1;
  let at = 0;
  const nextRow = (): Row | undefined => {
    while (at < content.length) {
      const row = readRow(source, at, line);
      const isQuoted = content[at] === quote;
      at = row.end + 1;
      line += row.lines;
      // A blank line is no row, but an empty cell in quotes is one.
      if (row.count > 1 || isQuoted || row.cells[0]!.trim() !== '') return row;
    }
    return undefined;
  };
  const header = nextRow();
  if (!header) throw unexpected(name, 'a header row and rows of values', 'an empty file');
  const names = namesOf(header.cells, name);
  const cells = new Cells(name, names.length, fileBytes);
  const lastFeed = content.lastIndexOf(lineFeed);
  while (at < content.length) {
    const end = at <= lastFeed ? readPlainRow(source, at, cells, rowLines.length) : undefined;
    if (end !== undefined) {
      rowLines.push(line);
      at = end + 1;
      line += 1;
      continue;
    }
    const row = nextRow();
    if (!row) break;
    const rowLine = line - row.lines;
    if (row.count !== names.length) {
      const expected = names.length === 1 ? '1 value' : `${names.length} values`;
      throw unexpected(`${name}: line ${rowLine}`, `${expected}, as the header row has`, row.count);
    }
    for (const [column, cell] of row.cells.entries()) cells.set(rowLines.length, column, cellText(source, cell));
    rowLines.push(rowLine);
  }
  if (rowLines.length === 0) throw unexpected(name, 'rows of values', 'only a header row');
  const table = {
    name,
    columns: columnsOf(names, cells, rowLines.length),
    count: rowLines.length,
    placeOf: (row: number) => `line ${rowLines[row]}`,
  };
  requireHeader(table);
  return { ...table, columns: withoutIndex(table) };
}

/** The file, whose lines end with line feeds alone. */
interface Source {
  readonly bytes: Uint8Array;
  readonly separator: number;
  readonly hasDecimalCommas: boolean;
  readonly name: string;
}

/** Powers of ten that a float64 holds exactly. */
const exactPowers = Float64Array.from({ length: 23 }, (_, power) => Number(`1e${power}`));
const mostDecimals = exactPowers.length - 1;
/** Digits that a 32-bit integer holds, digits of the high part of a longer number, and digits of both parts. */
const [int32Digits, highDigits, mostDigits] = [9, 10, 19];
/** Bound of the relative error of a correction. */
const rounding = 2 ** -48;

/**
 * Reads a row without quoted cells into `cells`. Most cells of large tables are short numbers, read without a string.
 * @param from start of a row that ends with a line feed, so that no byte beyond the file is read
 * @returns the position of the line feed; undefined if `readRow` must read the row
 */
function readPlainRow(source: Source, from: number, cells: Cells, row: number): number | undefined {
  const { bytes, separator } = source;
  const last = cells.columns - 1;
  const setNumber = cells.numbersIn(row);
  let at = from;
  for (let column = 0; ; column += 1) {
    const start = at;
    let byte = bytes[at]!;
    if (byte === quote) return undefined;
    const isNegative = byte === minus;
    if (isNegative || byte === plus) byte = bytes[++at]!;
    const first = at;
    let digits = 0;
    for (; byte >= zero && byte <= nine; byte = bytes[++at]!) digits = (10 * digits + byte - zero) | 0;
    let length = at - first;
    let decimals = 0;
    if (byte === dot) {
      byte = bytes[++at]!;
      for (; byte >= zero && byte <= nine; byte = bytes[++at]!) {
        digits = (10 * digits + byte - zero) | 0;
        decimals += 1;
      }
      length += decimals;
    }
    // The text of an identifier, such as 007, is kept besides its number.
    const isIdentifier = at - start === length && (length > exactDigits || (length > 1 && bytes[start] === zero));
    let value = Number.NaN;
    if (
      !isIdentifier &&
      (byte === separator || byte === lineFeed) &&
      length > 0 &&
      length <= mostDigits &&
      decimals <= mostDecimals
    ) {
      // The quotient of two exact numbers is rounded once, so it is the float64 nearest to the text.
      value = length <= int32Digits ? digits / exactPowers[decimals]! : longNumber(bytes, first, at, decimals);
    }
    if (!Number.isNaN(value)) {
      if (column <= last) setNumber(column, isNegative ? -value : value);
    } else {
      while (byte !== separator && byte !== lineFeed) byte = bytes[++at]!;
      // A row of one cell may be a blank line.
      if (column === 0 && byte === lineFeed) return undefined;
      if (column <= last) cells.set(row, column, cellText(source, decodeCell(source, start, at)));
    }
    if (byte === lineFeed) return column === last ? at : undefined;
    at += 1;
  }
}

/**
 * Returns the float64 nearest to a number without a sign, of at most `mostDigits` digits; NaN if it is too close to the
 * middle of two. Computed with twice the precision, as in T. J. Dekker, "A floating-point technique for extending the
 * available precision", Numerische Mathematik 18 (1971).
 * @param decimals digits after the point
 */
function longNumber(bytes: Uint8Array, from: number, to: number, decimals: number): number {
  let [high, low, lowDigits] = [0, 0, 0];
  for (let at = from, count = 0; at < to; at += 1) {
    if (bytes[at] === dot) continue;
    const digit = bytes[at]! - zero;
    if (count < highDigits) high = 10 * high + digit;
    else {
      low = 10 * low + digit;
      lowDigits += 1;
    }
    count += 1;
  }
  const scale = exactPowers[lowDigits]!;
  const divisor = exactPowers[decimals]!;
  // The digits are `sum + rest`, exactly.
  const product = high * scale;
  const tail = productError(high, scale, product) + low;
  const sum = product + tail;
  const rest = product - sum + tail;
  const quotient = sum / divisor;
  const back = quotient * divisor;
  const correction = (sum - back - productError(quotient, divisor, back) + rest) / divisor;
  const nearest = quotient + correction * (1 + rounding);
  return nearest === quotient + correction * (1 - rounding) ? nearest : Number.NaN;
}

/** Returns `a * b - product`, exactly: the product of halves of 26 bits is exact. */
function productError(a: number, b: number, product: number): number {
  const [aHigh, bHigh] = [highHalf(a), highHalf(b)];
  const [aLow, bLow] = [a - aHigh, b - bHigh];
  return aHigh * bHigh - product + aHigh * bLow + aLow * bHigh + aLow * bLow;
}

function highHalf(value: number): number {
  const shifted = (2 ** 27 + 1) * value;
  return shifted - (shifted - value);
}

function cellText({ hasDecimalCommas }: Source, cell: string): string {
  return hasDecimalCommas ? cell.replace(decimalComma, '$1.$2') : cell;
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
/** Up to about this many bytes, a loop is faster than a call of the decoder. */
const shortCell = 24;

/** Short cells by a hash of their bytes, since categories repeat. */
const recentCells: string[] = Array.from({ length: 1024 }, () => '');

function decodeCell({ bytes, name }: Source, from: number, to: number): string {
  if (to - from <= shortCell) {
    let hash = 0;
    for (let at = from; at < to; at += 1) hash = (31 * hash + bytes[at]!) | 0;
    const slot = hash & (recentCells.length - 1);
    const recent = recentCells[slot]!;
    if (isText(bytes, from, to, recent)) return recent;
    let text = '';
    let at = from;
    for (; at < to && bytes[at]! < 0x80; at += 1) text += String.fromCharCode(bytes[at]!);
    if (at === to) {
      recentCells[slot] = text;
      return text;
    }
  }
  try {
    return decoder.decode(bytes.subarray(from, to));
  } catch {
    throw notUtf8(bytes, name);
  }
}

function isText(bytes: Uint8Array, from: number, to: number, text: string): boolean {
  if (text.length !== to - from) return false;
  let at = from;
  while (at < to && text.charCodeAt(at - from) === bytes[at]) at += 1;
  return at === to;
}

interface Row {
  /** Cells beyond the maximum number of columns are counted, but not kept. */
  readonly cells: readonly string[];
  readonly count: number;
  /** Number of lines that the row spans. */
  readonly lines: number;
  /** Position of the line feed after the row, or of the end of the file. */
  readonly end: number;
}

/**
 * Reads a row; quoted cells may contain line breaks. Looks at each byte once.
 * @throws DataError for a quote that is not closed, or a cell that continues after its closing quote
 */
function readRow(source: Source, from: number, line: number): Row {
  const { bytes, separator, name } = source;
  const place = `${name}: line ${line}`;
  const isEnd = (at: number): boolean => at >= bytes.length || bytes[at] === separator || bytes[at] === lineFeed;
  const cells: string[] = [];
  let count = 0;
  let lines = 1;
  for (let at = from; ; at += 1) {
    let cell: string;
    if (bytes[at] === quote) {
      const close = closingQuote(bytes, at + 1);
      if (close < 0) throw unexpected(place, 'a quote at the end of a cell that begins with one', 'none');
      cell = withSingleQuotes(decodeCell(source, at + 1, close));
      lines += lineFeeds(cell);
      at = close + 1;
      while (bytes[at] === space) at += 1;
      if (!isEnd(at)) throw unexpected(place, 'the end of a cell after its closing quote', 'more of it');
    } else {
      const start = at;
      while (!isEnd(at)) at += 1;
      cell = decodeCell(source, start, at);
    }
    count += 1;
    if (count <= maxColumns) cells.push(cell);
    if (bytes[at] !== separator) return { cells, count, lines, end: at };
  }
}

/** Returns the position of the quote that ends a cell, -1 if there is none; two quotes stand for one. */
function closingQuote(bytes: Uint8Array, from: number): number {
  for (let at = from; at < bytes.length; at += 1) {
    if (bytes[at] !== quote) continue;
    if (bytes[at + 1] !== quote) return at;
    at += 1;
  }
  return -1;
}

/** For a text of quotes alone, replaceAll takes far more memory. */
function withSingleQuotes(text: string): string {
  if (!text.includes('"')) return text;
  let result = '';
  for (let from = 0; from < text.length; ) {
    let to = Math.min(from + pieceLength, text.length);
    let quotes = 0;
    while (text[to - 1 - quotes] === '"' && quotes < to - from) quotes += 1;
    // Ends between two pairs.
    if (quotes % 2 === 1) to += 1;
    result += text.slice(from, to).split('""').join('"');
    from = to;
  }
  return result;
}

function lineFeeds(text: string): number {
  let count = 0;
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) count += 1;
  return count;
}

function namesOf(cells: readonly string[], fileName: string): string[] {
  const names = cells.map((cell) => cell.trim());
  const numbers = names.filter((name) => numeric.test(name));
  if (numbers.length === names.length) throw noHeader(fileName, 'only numbers', names);
  if (new Set(numbers).size < numbers.length) throw noHeader(fileName, dataRow, names);
  checkColumnNames(fileName, names, names[0] === '' ? 1 : 0);
  return names;
}

const dataRow = 'what looks like a row of data';

function noHeader(fileName: string, got: string, names: readonly string[]): DataError {
  const row = shownText(names.slice(0, 20).join(' '));
  return unexpected(`${fileName}: line 1`, 'a header row with the names of the columns', `${got} (${row})`);
}

/**
 * Refuses a first row of numbers and texts that are data: a number with decimals, or a text that its own column repeats.
 * Whole numbers alone may be names, such as years and pixels.
 */
function requireHeader({ name: fileName, columns }: TableFile): void {
  const names = columns.map(({ name }) => name);
  if (!names.some((name) => numeric.test(name))) return;
  if (names.some((name) => numeric.test(name) && /[.,]\d/.test(name)) || columns.some(repeatsItsName)) {
    throw noHeader(fileName, dataRow, names);
  }
}

function repeatsItsName(column: TableFile['columns'][number]): boolean {
  let isRepeated = false;
  column.eachText((text) => {
    isRepeated ||= text !== '' && text === column.name;
  });
  return isRepeated;
}

/** Removes the first column if it is unnamed and counts the rows, as pandas and R write it. */
function withoutIndex({ name, columns }: TableFile): TableFile['columns'] {
  const first = columns[0]!;
  if (first.name !== '') return columns;
  const start = first.numberAt(0);
  for (let row = 0; row < first.count; row += 1) {
    if ((start === 0 || start === 1) && first.numberAt(row) === start + row) continue;
    throw unexpected(`${name}: line 1`, 'a name for column 1', 'none, and it does not count the rows');
  }
  return columns.slice(1);
}
