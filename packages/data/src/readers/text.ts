/** Decodes the bytes of a text file, after checks that need no memory. */

import { DataError, maxLineBytes, maxTextBytes, requireColumns, requireRows, unexpected } from '../data-error.ts';
import { thousands } from '../shown.ts';

export const lineFeed = 0x0a;
const carriageReturn = 0x0d;
export const space = 0x20;
export const quote = 0x22;
export const byteOrderMark = [0xef, 0xbb, 0xbf];

const delimiters = [',', ';', '\t'] as const;
/** Separates the cells of a row. */
type Delimiter = (typeof delimiters)[number];
const delimiterCodes = delimiters.map((delimiter) => delimiter.charCodeAt(0));

/**
 * Checks a text part by part while it is read. Refuses a file that is not text, or has a line or row that is too long,
 * before memory is allocated for all of it.
 */
export class TextGate {
  readonly #name: string;
  readonly #hasQuotedCells: boolean;
  #bytes = 0;
  #lineFeeds = 0;
  #carriageReturns = 0;
  /** Position of the first byte of the current row. */
  #rowStart = 0;
  #rowLine = 1;
  #isQuoted = false;
  /** Last byte of the previous part. */
  #lastByte = lineFeed;
  /** Position of the last quote that closed a cell; another quote right after it continues that cell. */
  #closedAt = -2;
  /** Bytes after which a quote opens a cell. */
  #openers: readonly number[] = delimiterCodes;
  #headerRow: 'to come' | 'begun' | 'read' = 'to come';
  /** Number of each delimiter in the header row, outside of quotes. */
  readonly #delimiterCounts = delimiters.map(() => 0);

  /**
   * @param name name of the file, for messages
   * @param hasQuotedCells whether quoted cells may contain line breaks, as in CSV; otherwise each line is a row
   */
  constructor(name: string, hasQuotedCells: boolean) {
    this.#name = name;
    this.#hasQuotedCells = hasQuotedCells;
  }

  get isUnused(): boolean {
    return this.#bytes === 0;
  }

  get hasCarriageReturns(): boolean {
    return this.#carriageReturns > 0;
  }

  /** Most frequent delimiter of the header row, outside of quotes. @throws DataError if it makes too many columns */
  get delimiter(): Delimiter {
    const most = Math.max(...this.#delimiterCounts);
    requireColumns(`${this.#name}: line 1`, most + 1);
    return delimiters[this.#delimiterCounts.indexOf(most)]!;
  }

  /**
   * @param totalBytes size of the whole text; 0 if unknown
   * @param fileBytes size of the file as stored, possibly packed
   * @throws DataError
   */
  take(part: Uint8Array, totalBytes: number, fileBytes: number): void {
    const from = this.#bytes;
    this.#bytes += part.length;
    const bytes = Math.max(this.#bytes, totalBytes);
    const expected = `${this.#name}: expected UTF-8 text`;
    const mark = from === 0 ? utf16Mark(part) : undefined;
    if (mark) throw new DataError(`${expected}, got ${mark}: save it as UTF-8`);
    if (part.includes(0)) throw new DataError(`${expected}, got a file with NUL bytes: is it text?`);
    if (bytes > maxTextBytes) {
      throw new DataError(`${expected} of at most ${thousands(maxTextBytes)} bytes, got ${thousands(bytes)}`);
    }
    this.#scan(part, from);
    this.#requireRow(this.#bytes);
    // Lines end with a line feed, a carriage return, or both.
    requireRows(this.#name, 'lines', Math.max(this.#lineFeeds, this.#carriageReturns), fileBytes);
  }

  #scan(part: Uint8Array, from: number): void {
    const markBytes = from === 0 && startsWith(part, byteOrderMark) ? byteOrderMark.length : 0;
    this.#rowStart += markBytes;
    const isPlain = !part.includes(carriageReturn) && !(this.#hasQuotedCells && part.includes(quote));
    for (let at = markBytes; at < part.length; at += 1) {
      if (isPlain && !this.#isQuoted && (this.#headerRow === 'read' || !this.#hasQuotedCells)) {
        // Native searches are several times as fast as a look at each byte.
        for (at = part.indexOf(lineFeed, at); at >= 0; at = part.indexOf(lineFeed, at + 1)) {
          this.#lineFeeds += 1;
          this.#endRow(from + at);
        }
        break;
      }
      const byte = part[at]!;
      if (byte === lineFeed || byte === carriageReturn) {
        if (byte === lineFeed) this.#lineFeeds += 1;
        else this.#carriageReturns += 1;
        if (!this.#isQuoted) this.#endRow(from + at);
      } else if (this.#hasQuotedCells) {
        if (byte === quote) this.#takeQuote(from + at, at > 0 ? part[at - 1]! : this.#lastByte);
        else if (this.#headerRow !== 'read' && byte !== space) this.#takeHeaderByte(byte);
      }
    }
    this.#lastByte = part.at(-1) ?? this.#lastByte;
  }

  #endRow(at: number): void {
    this.#requireRow(at);
    this.#rowStart = at + 1;
    this.#rowLine = this.#lineFeeds + 1;
    if (this.#headerRow !== 'begun') return;
    this.#headerRow = 'read';
    this.#openers = [this.delimiter.charCodeAt(0)];
  }

  /** A quote inside a cell that does not begin with one is an ordinary character. */
  #takeQuote(at: number, previous: number): void {
    if (this.#headerRow === 'to come') this.#headerRow = 'begun';
    if (this.#isQuoted) {
      this.#isQuoted = false;
      this.#closedAt = at;
    } else {
      this.#isQuoted = at === this.#rowStart || at === this.#closedAt + 1 || this.#openers.includes(previous);
    }
  }

  #takeHeaderByte(byte: number): void {
    this.#headerRow = 'begun';
    const index = this.#isQuoted ? -1 : delimiterCodes.indexOf(byte);
    if (index >= 0) this.#delimiterCounts[index]! += 1;
  }

  #requireRow(end: number): void {
    if (end - this.#rowStart <= maxLineBytes) return;
    const got = this.#isQuoted || this.#rowLine <= this.#lineFeeds ? 'more: is a quote missing?' : 'more';
    throw unexpected(`${this.#name}: line ${this.#rowLine}`, `at most ${thousands(maxLineBytes)} bytes`, got);
  }
}

export function startsWith(bytes: ArrayLike<number>, magic: readonly number[]): boolean {
  return magic.every((byte, index) => bytes[index] === byte);
}

/** Returns the first character that is not white space, among the first 1,024 bytes; empty if there is none. */
export function firstCharacter(bytes: Uint8Array): string {
  const start = startsWith(bytes, byteOrderMark) ? byteOrderMark.length : 0;
  const at = bytes.subarray(start, start + 1024).findIndex((byte) => !/\s/.test(String.fromCharCode(byte)));
  return at < 0 ? '' : String.fromCharCode(bytes[start + at]!);
}

function utf16Mark([first, second]: Uint8Array): string | undefined {
  if (first === 0xff && second === 0xfe) return 'UTF-16LE';
  return first === 0xfe && second === 0xff ? 'UTF-16BE' : undefined;
}

/**
 * Decodes UTF-8, with or without a byte order mark, and makes every line end with a line feed alone.
 * @param gate checks the bytes first, unless it has taken them while they were read
 * @param fileBytes size of the file as stored, possibly packed
 * @throws DataError that names the first line with other bytes, or with too many
 */
export function decodeText(bytes: Uint8Array, name: string, gate: TextGate, fileBytes: number): string {
  const text = decode(textBytes(bytes, gate, fileBytes));
  if (text !== undefined) return text;
  throw notUtf8(bytes, name);
}

/** Like `decodeText`, but does not decode. */
export function textBytes(bytes: Uint8Array, gate: TextGate, fileBytes: number): Uint8Array {
  if (gate.isUnused) gate.take(bytes, bytes.length, fileBytes);
  const content = startsWith(bytes, byteOrderMark) ? bytes.subarray(byteOrderMark.length) : bytes;
  return gate.hasCarriageReturns ? withLineFeeds(content) : content;
}

export function notUtf8(bytes: Uint8Array, name: string): DataError {
  return unexpected(name, 'UTF-8 text', `other bytes in line ${faultyLine(bytes)}: save it as UTF-8`);
}

/** Converts line ends byte by byte: a string method would take minutes on a text of carriage returns alone. */
function withLineFeeds(bytes: Uint8Array): Uint8Array {
  const result = new Uint8Array(bytes.length);
  let length = 0;
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at]!;
    if (byte === lineFeed && bytes[at - 1] === carriageReturn) continue;
    result[length] = byte === carriageReturn ? lineFeed : byte;
    length += 1;
  }
  return result.subarray(0, length);
}

function decode(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** Decodes each line alone: no byte of a longer character is a line feed. */
function faultyLine(bytes: Uint8Array): number {
  let line = 1;
  let from = 0;
  for (;;) {
    const end = bytes.indexOf(lineFeed, from);
    if (end < 0 || decode(bytes.subarray(from, end)) === undefined) return line;
    from = end + 1;
    line += 1;
  }
}
