/** Turns any text into message text: one well-formed line of bounded length, without control characters. */

import { printable, unprintableRun } from '@lockstep/data/shown';

/** Longest `message` on the wire, in UTF-16 units. */
export const maxMessageLength = 1000;

/** Whether `text` is valid as a message field: printable, not blank, and at most `maxLength` UTF-16 units. */
export function isPrintableLine(text: string, maxLength: number): boolean {
  return text.trim() !== '' && text.length <= maxLength && printable.test(text);
}

/** `text` as one printable line of 1 to `maxLength` UTF-16 units. Longer text is cut and ends in "…". */
export function toMessageText(text: string, maxLength: number = maxMessageLength): string {
  const line = text.replace(unprintableRun, ' ').trim();
  if (line.length === 0) return 'no reason given';
  if (line.length <= maxLength) return line;
  const last = line.charCodeAt(maxLength - 2);
  const splitsPair = last >= 0xd800 && last <= 0xdbff;
  return `${line.slice(0, splitsPair ? maxLength - 2 : maxLength - 1)}…`;
}

/** The longest prefix of `text` that takes at most `maxBytes` bytes of UTF-8 and splits no character. */
export function clipUtf8(text: string, maxBytes: number): string {
  let bytes = 0;
  let end = 0;
  for (const character of text) {
    const code = character.codePointAt(0)!;
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    if (bytes > maxBytes) break;
    end += character.length;
  }
  return text.slice(0, end);
}

/** Compares two secrets. The time depends only on the length of `expected`, and so reveals nothing about a guess. */
export function sameSecret(expected: string, got: string): boolean {
  let difference = expected.length ^ got.length;
  for (let index = 0; index < expected.length; index++) {
    difference |= expected.charCodeAt(index) ^ got.charCodeAt(index % Math.max(1, got.length));
  }
  return difference === 0;
}
