/** Reads CSV and TSV as RFC 4180 has them: a header row, cells between commas, semicolons or tabs, quotes, quoted line breaks. */
import Papa from '#papaparse';
import { DataError } from '../data-error.ts';
import { Column } from './column.ts';
import { checkColumnNames, shownText, type Table } from './table.ts';
import { decodeText } from './text.ts';

const delimiters = [',', ';', '\t'] as const;
type Delimiter = (typeof delimiters)[number];

/** Beside semicolons, a number may have a decimal comma. */
const decimalComma = /^\s*([+-]?\d*),(\d+(?:e[+-]?\d+)?)\s*$/i;
const numeric = /^\s*[+-]?(?:\d+[.,]?\d*|[.,]\d+)(?:e[+-]?\d+)?\s*$/i;
const faults: Readonly<Record<string, string>> = {
  MissingQuotes: 'expected a quote at the end of a cell that begins with one, got none',
  InvalidQuotes: 'expected the end of a cell after its closing quote, got more of it',
};

/**
 * A CSV or TSV file as a table.
 * @param name of the file, for messages. @throws DataError
 */
export function parseDelimited(bytes: Uint8Array, name: string): Table {
  const text = decodeText(bytes, name);
  if (text.trim() === '') throw new DataError(`${name}: expected a header row and rows of values, got an empty file`);
  const delimiter = delimiterOf(text);
  const lines = new LineCounter(text);
  const rowLines: number[] = [];
  let columns: Column[] | undefined;
  Papa.parse<string[]>(text, {
    delimiter,
    newline: '\n',
    step: ({ data: cells, errors, meta }) => {
      const line = lines.current;
      lines.moveTo(meta.cursor);
      if (errors.length > 0)
        throw new DataError(`${name}: line ${line}: ${faults[errors[0]!.code] ?? errors[0]!.message}`);
      if (cells.length === 1 && cells[0]!.trim() === '') return;
      if (columns === undefined) {
        columns = headerOf(cells, name);
        return;
      }
      pushRow(columns, cells, delimiter, `${name}: line ${line}`);
      rowLines.push(line);
    },
  });
  if (rowLines.length === 0) throw new DataError(`${name}: expected rows of values, got a header row alone`);
  return {
    name,
    columns: withoutIndex(columns!, name),
    count: rowLines.length,
    placeOf: (row) => `line ${rowLines[row]}`,
  };
}

/** Counts line breaks up to a position of the text, which only moves forward. */
class LineCounter {
  readonly #text: string;
  #at = 0;
  /** From 1. */
  current = 1;

  constructor(text: string) {
    this.#text = text;
  }

  moveTo(position: number): void {
    for (;;) {
      const end = this.#text.indexOf('\n', this.#at);
      if (end < 0 || end >= position) return;
      this.current += 1;
      this.#at = end + 1;
    }
  }
}

/** The one that the header row has most often outside of quotes. */
function delimiterOf(text: string): Delimiter {
  const header = text
    .trimStart()
    .replaceAll(/"[^"]*"/g, '')
    .split('\n', 1)[0]!;
  const counts = delimiters.map((delimiter) => header.split(delimiter).length);
  return delimiters[counts.indexOf(Math.max(...counts))]!;
}

function headerOf(cells: readonly string[], fileName: string): Column[] {
  const names = cells.map((cell) => cell.trim());
  if (names.every((name) => numeric.test(name))) {
    const got = `numbers alone (${shownText(names.join(' '))})`;
    throw new DataError(`${fileName}: line 1: expected a header row with the names of the columns, got ${got}`);
  }
  const first = names[0] === '' ? 1 : 0;
  checkColumnNames(fileName, names, first);
  return names.map((name) => new Column(name));
}

function pushRow(columns: readonly Column[], cells: readonly string[], delimiter: Delimiter, place: string): void {
  if (cells.length !== columns.length) {
    throw new DataError(`${place}: expected ${columns.length} values, as the header row has, got ${cells.length}`);
  }
  for (let index = 0; index < cells.length; index += 1) {
    const cell = cells[index]!;
    columns[index]!.push(delimiter === ';' ? cell.replace(decimalComma, '$1.$2') : cell);
  }
}

/** pandas and R write the numbers of the rows as a first column without a name. */
function withoutIndex(columns: readonly Column[], fileName: string): readonly Column[] {
  const [first, ...others] = columns;
  if (first!.name !== '') return columns;
  const start = first!.numberAt(0);
  for (let row = 0; row < first!.count; row += 1) {
    if ((start === 0 || start === 1) && first!.numberAt(row) === start + row) continue;
    throw new DataError(`${fileName}: line 1: expected a name for column 1, got none, and it does not count the rows`);
  }
  return others;
}
