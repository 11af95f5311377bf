/** Bytes of a text file as text. */
import { DataError } from '../data-error.ts';
import { maxLineBytes, maxTextBytes } from '../limits.ts';

const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const thousands = (count: number): string => count.toLocaleString('en-US');

/**
 * Looks at a text as it is read, part after part, so that one that is no text, or too long, is not read to its end.
 * Its errors are those of `decodeText`.
 */
export class TextGate {
  readonly #name: string;
  #bytes = 0;
  #line = 1;
  /** Bytes of the line that the last part has begun. */
  #open = 0;

  /** @param name of the file, for messages */
  constructor(name: string) {
    this.#name = name;
  }

  /** @param totalBytes of the whole text, if that is known. @throws DataError */
  take(part: Uint8Array, totalBytes = 0): void {
    this.#bytes += part.length;
    const bytes = Math.max(this.#bytes, totalBytes);
    const expected = `${this.#name}: expected UTF-8 text`;
    const mark = this.#bytes === part.length ? utf16Mark(part) : undefined;
    if (mark) throw new DataError(`${expected}, got ${mark}: save it as UTF-8`);
    if (part.includes(0)) throw new DataError(`${expected}, got a file with NUL bytes: is it text?`);
    if (bytes > maxTextBytes) {
      throw new DataError(`${expected} of at most ${thousands(maxTextBytes)} bytes, got ${thousands(bytes)}`);
    }
    this.#requireLines(part);
  }

  /** Goes from the last line break within reach to the next one, so that no byte is looked at often. */
  #requireLines(part: Uint8Array): void {
    let from = 0;
    while (this.#open + part.length - from > maxLineBytes) {
      const reach = part.subarray(from, from + maxLineBytes - this.#open + 1);
      const end = Math.max(reach.lastIndexOf(lineFeed), reach.lastIndexOf(carriageReturn));
      if (end < 0) {
        const line = this.#line + lineFeeds(part.subarray(0, from));
        throw new DataError(`${this.#name}: line ${line}: expected at most ${thousands(maxLineBytes)} bytes, got more`);
      }
      from += end + 1;
      this.#open = 0;
    }
    this.#line += lineFeeds(part);
    const last = Math.max(part.lastIndexOf(lineFeed), part.lastIndexOf(carriageReturn));
    this.#open = last < 0 ? this.#open + part.length : part.length - last - 1;
  }
}

function lineFeeds(bytes: Uint8Array): number {
  let count = 0;
  for (let at = 0; at < bytes.length; at += 1) if (bytes[at] === lineFeed) count += 1;
  return count;
}

function utf16Mark([first, second]: Uint8Array): string | undefined {
  if (first === 0xff && second === 0xfe) return 'UTF-16LE';
  return first === 0xfe && second === 0xff ? 'UTF-16BE' : undefined;
}

/**
 * UTF-8, with or without a byte order mark; every line ends with a line feed alone.
 * @throws DataError that names the first line with other bytes, or with too many
 */
export function decodeText(bytes: Uint8Array, name: string): string {
  new TextGate(name).take(bytes);
  const text = decode(bytes);
  if (text === undefined) {
    throw new DataError(`${name}: expected UTF-8 text, got other bytes in line ${faultyLine(bytes)}: save it as UTF-8`);
  }
  return text.includes('\r') ? text.replaceAll(/\r\n?/g, '\n') : text;
}

function decode(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** A byte of a longer character is never a line feed, so each line can be decoded alone. */
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
