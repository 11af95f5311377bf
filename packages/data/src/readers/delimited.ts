/**
 * Reads CSV and TSV as in RFC 4180: a header row, cells between commas, semicolons or tabs, quotes, quoted line breaks.
 */
import { argumentKinds, checkArguments, type DataError, maxColumns, unexpected } from '../data-error.ts';
import { Cells, checkColumnNames, columnsOf, shownText, type TableFile } from './table.ts';
import { type Delimiter, decodeText, TextGate } from './text.ts';

const lineFeed = 0x0a;
const space = 0x20;
const quote = 0x22;
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
  const text = decodeText(bytes, name, gate, fileBytes);
  if (text.trim() === '') throw unexpected(name, 'a header row and rows of values', 'an empty file');
  const { delimiter } = gate;
  const rowLines: number[] = [];
  let names: readonly string[] | undefined;
  let cells = new Cells(name, 0, fileBytes);
  eachRow(text, delimiter, name, (row, count, line) => {
    if (count === 1 && row[0]!.trim() === '') return;
    if (names === undefined) {
      names = namesOf(row, name);
      cells = new Cells(name, count, fileBytes);
      return;
    }
    if (count !== names.length) {
      throw unexpected(`${name}: line ${line}`, `${names.length} values, as the header row has`, count);
    }
    for (let column = 0; column < count; column += 1) {
      const cell = row[column]!;
      cells.set(rowLines.length, column, delimiter === ';' ? cell.replace(decimalComma, '$1.$2') : cell);
    }
    rowLines.push(line);
  });
  if (rowLines.length === 0) throw unexpected(name, 'rows of values', 'only a header row');
  const table = {
    name,
    columns: columnsOf(names!, cells, rowLines.length),
    count: rowLines.length,
    placeOf: (row: number) => `line ${rowLines[row]}`,
  };
  requireHeader(table);
  return { ...table, columns: withoutIndex(table) };
}

/**
 * Calls `take` with the cells of each row, their number, and the line on which the row begins.
 * @throws DataError for a quote that is not closed, or a cell that continues after its closing quote
 */
function eachRow(
  text: string,
  delimiter: Delimiter,
  name: string,
  take: (cells: readonly string[], count: number, line: number) => void,
): void {
  let line = 1;
  for (let at = 0; at < text.length; ) {
    const feed = text.indexOf('\n', at);
    const content = text.slice(at, feed < 0 ? text.length : feed);
    if (content.includes('"')) {
      const row = quotedRow(text, at, delimiter, `${name}: line ${line}`);
      take(row.cells, row.count, line);
      line += row.lines;
      at = row.end + 1;
    } else {
      const cells = content.split(delimiter);
      take(cells, cells.length, line);
      line += 1;
      at += content.length + 1;
    }
  }
}

interface QuotedRow {
  /** Cells beyond the maximum number of columns are counted, but not kept. */
  readonly cells: readonly string[];
  readonly count: number;
  /** Number of lines that the row spans. */
  readonly lines: number;
  /** Position of the line feed after the row, or of the end of the text. */
  readonly end: number;
}

/** Reads a row with quoted cells, which may contain line breaks. Looks at each character once. */
function quotedRow(text: string, from: number, delimiter: Delimiter, place: string): QuotedRow {
  const code = delimiter.charCodeAt(0);
  const isEnd = (at: number): boolean =>
    at >= text.length || text.charCodeAt(at) === code || text.charCodeAt(at) === lineFeed;
  const cells: string[] = [];
  let count = 0;
  let lines = 1;
  for (let at = from; ; at += 1) {
    let cell: string;
    if (text.charCodeAt(at) === quote) {
      const quoted = quotedCell(text, at + 1);
      if (!quoted) throw unexpected(place, 'a quote at the end of a cell that begins with one', 'none');
      cell = quoted.cell;
      lines += lineFeeds(cell);
      at = quoted.close + 1;
      while (text.charCodeAt(at) === space) at += 1;
      if (!isEnd(at)) throw unexpected(place, 'the end of a cell after its closing quote', 'more of it');
    } else {
      const start = at;
      while (!isEnd(at)) at += 1;
      cell = text.slice(start, at);
    }
    count += 1;
    if (count <= maxColumns) cells.push(cell);
    if (text.charCodeAt(at) !== code) return { cells, count, lines, end: at };
  }
}

/**
 * Reads the cell after its opening quote; two quotes stand for one.
 * @returns the cell and the position of its closing quote; undefined if there is none
 */
function quotedCell(text: string, from: number): { readonly cell: string; readonly close: number } | undefined {
  const first = text.indexOf('"', from);
  let at = first;
  let start = from;
  let cell = '';
  while (at >= 0 && text.charCodeAt(at + 1) === quote) {
    at += 2;
    if (at - start > pieceLength) {
      cell += withSingleQuotes(text.slice(start, at));
      start = at;
    }
    if (text.charCodeAt(at) !== quote) at = text.indexOf('"', at);
  }
  if (at < 0) return undefined;
  const rest = text.slice(start, at);
  return { cell: at === first ? rest : cell + withSingleQuotes(rest), close: at };
}

/** For a text of quotes alone, replaceAll takes far more memory. */
function withSingleQuotes(text: string): string {
  return text.split('""').join('"');
}

function lineFeeds(text: string): number {
  let count = 0;
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) count += 1;
  return count;
}

function namesOf(cells: readonly string[], fileName: string): string[] {
  const names = cells.map((cell) => cell.trim());
  const numbers = names.filter((name) => numeric.test(name));
  if (numbers.length === names.length) throw noHeader(fileName, 'numbers alone', names);
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
