import { printable } from '@lockstep/data/shown';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isPrintableLine, sameSecret, toMessageText } from '../src/fields.ts';
import { clipUtf8 } from '../src/transport.ts';

const utf16Unit = fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit));

const anyText = fc.string({
  unit: fc.oneof(fc.constantFrom('\ud800', '\udc00', '\n', '\u202e', '😀', 'é'), utf16Unit),
});

describe('isPrintableLine', () => {
  it.each(['a', 'a b', 'zoë', '数学', '👩\u200d🏫', 'می\u200cخ'])('takes %j', (text) => {
    expect(isPrintableLine(text, 5)).toBe(true);
  });

  it.each(['', ' ', 'abcdef', 'a\nb', '\u001b[m', 'a\u202eb', '\ud800'])('refuses %j', (text) => {
    expect(isPrintableLine(text, 5)).toBe(false);
  });
});

describe('toMessageText', () => {
  it('turns any text into one printable line of bounded length', () => {
    fc.assert(
      fc.property(anyText, fc.integer({ min: 20, max: 60 }), (text, maxLength) => {
        const message = toMessageText(text.repeat(5), maxLength);
        expect(message).toMatch(printable);
        expect(message.length).toBeLessThanOrEqual(maxLength);
      }),
    );
  });

  it('leaves a sentence as it is', () => {
    expect(toMessageText('Out of memory: 3 GiB wanted, 2 GiB free.')).toBe('Out of memory: 3 GiB wanted, 2 GiB free.');
  });

  it('replaces an empty text', () => {
    expect(toMessageText(' \n\u0000 ')).toBe('no reason given');
  });

  it('marks a cut and splits no character', () => {
    expect(toMessageText('abcdef', 4)).toBe('abc…');
    expect(toMessageText('ab😀cd', 4)).toBe('ab…');
  });
});

describe('clipUtf8', () => {
  it('returns the longest prefix that fits', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.nat(40), (text, maxBytes) => {
        const clipped = clipUtf8(text, maxBytes);
        expect(text.startsWith(clipped)).toBe(true);
        expect(Buffer.byteLength(clipped)).toBeLessThanOrEqual(maxBytes);
        const [next] = text.slice(clipped.length);
        if (next !== undefined) expect(Buffer.byteLength(clipped + next)).toBeGreaterThan(maxBytes);
      }),
    );
  });
});

it.each([
  ['secret', 'secret', true],
  ['secret', 'secreT', false],
  ['secret', 'secre', false],
  ['secret', 'secretsecret', false],
  ['secret', '', false],
  ['', '', true],
  ['', 'secret', false],
])('sameSecret(%j, %j) is %s', (expected, got, isSame) => {
  expect(sameSecret(expected, got)).toBe(isSame);
});
