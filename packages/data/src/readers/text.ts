/** Bytes of a text file as text. */
import { DataError } from '../data-error.ts';

const lineFeed = 0x0a;
/** Most bytes of a text, which has to fit one string of the engine. */
const maxTextBytes = 2 ** 29 - 2 ** 16;

/**
 * UTF-8, with or without a byte order mark; every line ends with a line feed alone.
 * @throws DataError that names the first line with other bytes
 */
export function decodeText(bytes: Uint8Array, name: string): string {
  const expected = `${name}: expected UTF-8 text`;
  if (bytes.length > maxTextBytes)
    throw new DataError(`${expected} of at most ${maxTextBytes} bytes, got ${bytes.length}`);
  const mark =
    bytes[0] === 0xff && bytes[1] === 0xfe ? 'LE' : bytes[0] === 0xfe && bytes[1] === 0xff ? 'BE' : undefined;
  if (mark) throw new DataError(`${expected}, got UTF-16${mark}: save it as UTF-8`);
  const text = decode(bytes);
  if (text === undefined)
    throw new DataError(`${expected}, got other bytes in line ${faultyLine(bytes)}: save it as UTF-8`);
  if (text.includes('\0')) throw new DataError(`${expected}, got a file with NUL bytes: is it text?`);
  return text.replaceAll(/\r\n?/g, '\n');
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
