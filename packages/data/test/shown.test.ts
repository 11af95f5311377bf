import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FileError } from '../src/named-files.ts';
import { bytesText, fileKind, measured, printable, shownLine, shownValue, significant } from '../src/shown.ts';

const anyText = fc.string({
  unit: fc.oneof(
    fc.constantFrom('\ud800', '\udc00', '\n', '\u202e', '\u2066', '\u2028', '\ufeff', '\x1b', '\x9b', '😀', 'é'),
    fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)),
  ),
});

describe('shownLine', () => {
  it('is printable, of bounded length, and the same when it is shown again', () => {
    fc.assert(
      fc.property(anyText, fc.integer({ min: 3, max: 60 }), (text, maxLength) => {
        const line = shownLine(text, maxLength);
        if (text !== '') expect(line).toMatch(printable);
        expect(line.length).toBeLessThanOrEqual(maxLength);
        expect(shownLine(line, maxLength)).toBe(line);
      }),
    );
  });

  it.each([
    ['plain text', 'plain text'],
    ['数学 😀 می\u200cخواهم', '数学 😀 می\u200cخواهم'],
    ['a\nb\tc\r', 'a\\nb\\tc\\r'],
    ['\x1b[2J', '\\u001b[2J'],
    ['gnp.\u202eexe', 'gnp.\\u202eexe'],
    ['x'.repeat(2_000), `${'x'.repeat(499)}…${'x'.repeat(499)}`],
  ])('%j is %j', (text, line) => {
    expect(shownLine(text)).toBe(line);
    expect(new FileError(text).message).toBe(line);
  });
});

it.each<[bytes: number[], kind: string]>([
  [[], 'an empty file'],
  [[0x1f, 0x8b, 8], 'a gzip file'],
  [[0x25, 0x50, 0x44, 0x46, 0x2d], 'a PDF'],
  [[0x68, 0x69, 0x0a], 'a text that begins with "hi\\n"'],
  // Cutting a two-byte character in half does not make the text invalid.
  [[...new Array<number>(23).fill(0x61), 0xc3, 0xa9], `a text that begins with "${'a'.repeat(23)}"`],
  [[1, 2, 3], 'a file that begins with the bytes 01 02 03'],
])('bytes %j are %s', (bytes, kind) => {
  expect(fileKind(Uint8Array.from(bytes))).toBe(kind);
});

it.each([
  [0, '0'],
  [0.123456, '0.1235'],
  [123_456, '123500'],
  [-1.5, '-1.5'],
  [1e-5, '1e-5'],
  [1.23456e-5, '1.235e-5'],
  [0.00009999999, '1e-4'],
  [-1e30, '-1e+30'],
  [Number.NaN, 'NaN'],
  [Number.POSITIVE_INFINITY, 'Infinity'],
])('%d is %s to four significant digits', (value, text) => {
  expect(significant(value)).toBe(text);
});

it.each([
  [65, '65.00'],
  [0.15, '0.1500'],
  [9.99996, '10.00'],
  [-4.28, '-4.280'],
  [11_334.2, '11,330'],
  [-4_321, '-4,321'],
  [0, '0.000'],
  [Number.POSITIVE_INFINITY, 'Infinity'],
])('%d is measured as %j', (value, text) => {
  expect(measured(value)).toBe(text);
});

it('shows a measured value with as many digits whatever they are, and does not change it', () => {
  fc.assert(
    fc.property(fc.double({ min: 1e-4, max: 9_999, noNaN: true }), fc.integer({ min: 1, max: 8 }), (value, digits) => {
      const text = measured(value, digits);
      expect(Number(text.replaceAll(',', ''))).toBe(Number(significant(value, digits)));
      if (value < 10 ** (digits - 1)) expect(text.replace(/^0\.0*|[.,]/, '')).toHaveLength(digits);
    }),
  );
});

it.each([
  [0, '0 bytes'],
  [999.4, '999 bytes'],
  [9_000, '9.00 KB'],
  [1_500_000, '1.50 MB'],
  [3e9, '3.00 GB'],
  [12_345e9, '12,300 GB'],
])('%d bytes are %s', (bytes, text) => {
  expect(bytesText(bytes)).toBe(text);
});

it.each([
  [new Float32Array(3), 'a Float32Array'],
  [new Int8Array(3), 'an Int8Array'],
  [[1, 2], 'a list of 2'],
  [{}, 'an object'],
  [undefined, 'nothing'],
])('a value such as %j is %s', (value, text) => {
  expect(shownValue(value)).toBe(text);
});
