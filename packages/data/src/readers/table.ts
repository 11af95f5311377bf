/** Rows and named columns, from any file format: cells stored as numbers if possible. */
import { type DataError, requireValues, unexpected } from '../data-error.ts';
import { shownLine } from '../shown.ts';

/** Rows of a file, stored by columns, whose cells are texts or numbers. */
export interface TableFile {
  /** Name of the file, which begins messages. */
  readonly name: string;
  readonly columns: readonly Column[];
  readonly count: number;
  /** Returns the place of a row in the file, such as `line 12`. */
  readonly placeOf: (row: number) => string;
}

const maxShownLength = 40;
const maxNameLength = 80;
const maxListed = 10;

/** Quotes and shortens a text. */
export function shownText(text: string): string {
  return JSON.stringify(text.length <= maxShownLength ? text : `${text.slice(0, maxShownLength)}…`);
}

/** Shortens a name without quoting it. */
export function shownName(name: string): string {
  return shownLine(name, maxNameLength);
}

/** Joins names with commas, and quotes names that contain one; of many, shows the first ones and the number of others. */
export function listed(names: readonly string[]): string {
  const shown = names
    .slice(0, maxListed + 1)
    .map((name) => shownName(name.includes(',') ? JSON.stringify(name) : name));
  if (names.length <= maxListed + 1) return shown.join(', ');
  return `${shown.slice(0, maxListed).join(', ')}, and ${names.length - maxListed} more`;
}

/** Creates the error for one cell. */
export function cellError(table: TableFile, row: number, column: Column, expected: string): DataError {
  const text = column.textAt(row);
  const got = text === '' ? 'none' : column.numberAt(row) === undefined ? shownText(text) : text;
  const place = `${table.placeOf(row)}, column ${shownName(column.name)}`;
  return unexpected(`${table.name}: ${place}`, expected, got);
}

/** Returns a column. @throws DataError if there is no column with this name; `use` says what needs it */
export function requireColumn(table: TableFile, name: string, use: string): Column {
  return columnFinder(table)(name, use);
}

/** The columns of a table by name, since a wide table is searched several times. */
const columnsByName = new WeakMap<TableFile['columns'], ReadonlyMap<string, Column>>();

/** Like `requireColumn`, for many names of one table. */
export function columnFinder(table: TableFile): (name: string, use: string) => Column {
  const columns = columnsByName.get(table.columns) ?? new Map(table.columns.map((column) => [column.name, column]));
  columnsByName.set(table.columns, columns);
  return (name, use) => {
    const column = columns.get(name);
    if (column) return column;
    throw unexpected(table.name, `a column ${shownText(name)} ${use}`, `the columns ${listed([...columns.keys()])}`);
  };
}

/** Checks the names from index `first` on. @throws DataError if two are equal or one is empty */
export function checkColumnNames(fileName: string, names: readonly string[], first: number): void {
  const seen = new Map<string, number>();
  names.forEach((name, index) => {
    if (index < first) return;
    if (name === '') throw unexpected(`${fileName}: line 1`, `a name for column ${index + 1}`, 'none');
    const earlier = seen.get(name);
    seen.set(name, index);
    if (earlier === undefined) return;
    const got = `${shownText(name)} for columns ${earlier + 1} and ${index + 1}`;
    throw unexpected(`${fileName}: line 1`, 'a different name for each column', got);
  });
}

/** Texts, in lower case, that stand for a missing number. */
const missingNumbers: ReadonlySet<string> = new Set(['', 'na', 'n/a', '#n/a', '<na>', 'nan', 'null', 'none', '?', '-']);
const longestMissing = 4;

/** Whether a cell is missing: it is empty or, among numbers, one of the texts that other programs write instead. */
export function isMissing(text: string, type: 'number' | 'category'): boolean {
  if (type === 'category') return text === '';
  return text.length <= longestMissing && missingNumbers.has(text.toLowerCase());
}

/** Matches the same digits in one way only, so that the time grows linearly with the length of any text. */
const numberForm = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?$/i;
/** Maximum values in a block of rows, unless a single row has more. */
const blockValues = 2 ** 16;
/** A float64 holds any whole number of this many digits. */
export const exactDigits = 15;
const zero = 0x30;

/** Whether a number in this form is another text than its shortest form: 007, or 9007199254740993. */
function isIdentifier(digits: string): boolean {
  if (digits.length <= exactDigits && digits.charCodeAt(0) !== zero) return false;
  return /^\d{2,}$/.test(digits) && `${Number(digits)}` !== digits;
}

interface Block {
  /** [columns, rows of a block], column by column; NaN if the cell is a text. */
  readonly numbers: Float64Array;
  /** For each cell, 1 plus the index of its text, or 0; undefined if no cell of the block has a text. */
  codes: Uint32Array | undefined;
}

/** Stores the cells of a table; `Column` reads them. */
export class Cells {
  readonly #name: string;
  readonly columns: number;
  readonly #fileBytes: number;
  /** Log2 of the rows in a block. */
  readonly shift: number;
  readonly blocks: Block[] = [];
  readonly texts: string[] = [];
  readonly #codeOf = new Map<string, number>();
  /** For each column, 1 if any of its cells has a text. */
  readonly hasText: Uint8Array;

  /**
   * @param name name of the file, for messages
   * @param fileBytes size of the file as stored, which limits the number of values
   */
  constructor(name: string, columns: number, fileBytes: number) {
    this.#name = name;
    this.columns = columns;
    this.#fileBytes = fileBytes;
    this.shift = Math.max(0, Math.floor(Math.log2(blockValues / Math.max(1, columns))));
    this.hasText = new Uint8Array(columns);
  }

  /**
   * Stores a cell. A text in the form of a finite number becomes one; a number that is not finite becomes a text. `''`
   * stands for a missing value.
   * @throws DataError if the file has more values than its size allows
   */
  set(row: number, column: number, cell: string | number): void {
    const block = this.blocks[row >> this.shift] ?? this.#blockOf(row);
    const at = this.position(row, column);
    const text = typeof cell === 'string' ? cell.trim() : cell;
    const value = typeof text === 'number' || numberForm.test(text) ? Number(text) : Number.NaN;
    if (!Number.isFinite(value)) {
      this.#setText(block, at, column, `${text}`);
      block.numbers[at] = Number.NaN;
      return;
    }
    block.numbers[at] = value;
    if (typeof text === 'string' && isIdentifier(text)) this.#setText(block, at, column, text);
  }

  /** Returns a function that stores a finite number in an empty cell of a row: faster than `set` for each cell. */
  numbersIn(row: number): (column: number, value: number) => void {
    const { numbers } = this.blocks[row >> this.shift] ?? this.#blockOf(row);
    const [first, shift] = [this.position(row, 0), this.shift];
    return (column, value) => {
      numbers[first + (column << shift)] = value;
    };
  }

  position(row: number, column: number): number {
    return (column << this.shift) + (row & ((1 << this.shift) - 1));
  }

  #blockOf(row: number): Block {
    const index = row >> this.shift;
    while (index >= this.blocks.length) {
      requireValues(this.#name, (this.blocks.length << this.shift) + 1, this.columns, this.#fileBytes);
      this.blocks.push({ numbers: new Float64Array(this.columns << this.shift), codes: undefined });
    }
    return this.blocks[index]!;
  }

  #setText(block: Block, at: number, column: number, text: string): void {
    let code = this.#codeOf.get(text);
    if (code === undefined) {
      code = this.texts.push(text);
      this.#codeOf.set(text, code);
    }
    block.codes ??= new Uint32Array(block.numbers.length);
    block.codes[at] = code;
    this.hasText[column] = 1;
  }
}

export class Column {
  readonly name: string;
  /** Number of cells. */
  readonly count: number;
  readonly #cells: Cells;
  readonly #index: number;

  constructor(name: string, cells: Cells, index: number, count: number) {
    this.name = name;
    this.count = count;
    this.#cells = cells;
    this.#index = index;
  }

  /** Whether any cell is a text, or a number that is kept as in the file besides. */
  get hasText(): boolean {
    return this.#cells.hasText[this.#index] === 1;
  }

  /** Returns undefined if the cell is a text. */
  numberAt(row: number): number | undefined {
    const { blocks, shift } = this.#cells;
    const value = blocks[row >> shift]!.numbers[this.#cells.position(row, this.#index)]!;
    return Number.isNaN(value) ? undefined : value;
  }

  /** Returns the numbers of these rows, NaN for texts: faster than `numberAt` for each. @param into reused memory */
  numbersAt(rows: Uint32Array, into = new Float64Array(rows.length)): Float64Array {
    const { blocks, shift } = this.#cells;
    const [first, mask] = [this.#index << shift, (1 << shift) - 1];
    for (let index = 0; index < rows.length; index += 1) {
      const row = rows[index]!;
      into[index] = blocks[row >> shift]!.numbers[first + (row & mask)]!;
    }
    return into;
  }

  /** Returns a text, or a number in its shortest form. */
  textAt(row: number): string {
    const number = this.numberAt(row);
    return number === undefined ? this.givenAt(row) : `${number}`;
  }

  /** Returns the text in the file; of a number only if its shortest form would be another identifier. */
  givenAt(row: number): string {
    const { blocks, shift, texts } = this.#cells;
    const { codes, numbers } = blocks[row >> shift]!;
    const at = this.#cells.position(row, this.#index);
    const code = codes?.[at];
    return code ? texts[code - 1]! : `${numbers[at]}`;
  }

  /** Calls `take` for each cell that is a text. */
  eachText(take: (text: string, row: number) => void): void {
    if (!this.hasText) return;
    const { blocks, shift, texts } = this.#cells;
    const rows = 1 << shift;
    const from = this.#index << shift;
    for (let first = 0; first < this.count; first += rows) {
      const { codes, numbers } = blocks[first >> shift]!;
      if (!codes) continue;
      const to = from + Math.min(rows, this.count - first);
      for (let at = from; at < to; at += 1) {
        const code = codes[at]!;
        if (code === 0 || !Number.isNaN(numbers[at])) continue;
        take(texts[code - 1]!, first + at - from);
      }
    }
  }
}

/** Creates the columns with these names, in the order of their cells. */
export function columnsOf(names: readonly string[], cells: Cells, count: number): Column[] {
  return names.map((name, index) => new Column(name, cells, index, count));
}

/** Returns the distinct names, in numeric order if all are numbers, else by their UTF-16 code units, as `sort` does. */
export function sortedNames(names: Iterable<string>): string[] {
  const different = [...new Set(names)].sort();
  const areNumbers = different.every((name) => name !== '' && Number.isFinite(Number(name)));
  return areNumbers ? different.sort((a, b) => Number(a) - Number(b)) : different;
}
