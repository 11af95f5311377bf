/** Copies between shared and unshared memory. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { copyBytes } from '../src/bytes.ts';
import { encode, framed } from '../src/codec.ts';

const room = 200_000;
const memory = { own: () => new ArrayBuffer(room), shared: () => new SharedArrayBuffer(room) };
const kinds = ['own', 'shared'] as const;

describe('copied bytes', () => {
  test.each(kinds.flatMap((to) => kinds.map((from) => [from, to] as const)))(
    'from %s to %s memory are those of the source, at any alignment, and no other byte changes',
    (from, to) => {
      const offset = fc.integer({ min: 0, max: 17 });
      const length = fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 65_000, max: 140_000 }));
      const source = new Uint8Array(memory[from]()).map((_, at) => (at * 7 + 1) % 251);
      const bytes = new Uint8Array(memory[from]());
      bytes.set(source);
      fc.assert(
        fc.property(offset, offset, length, (fromOffset, toOffset, count) => {
          const target = new Uint8Array(memory[to]());
          copyBytes(target.subarray(toOffset), bytes.subarray(fromOffset, fromOffset + count));
          const expected = new Uint8Array(room);
          expected.set(source.subarray(fromOffset, fromOffset + count), toOffset);
          expect(Buffer.compare(target, expected)).toBe(0);
        }),
        { numRuns: 40 },
      );
    },
  );

  test.each(kinds)('that do not fit into %s memory are a RangeError', (to) => {
    const target = new Uint8Array(memory[to](), 1, 20);
    expect(() => copyBytes(target, new Uint8Array(21))).toThrow(RangeError);
  });
});

test.each([10, 5_000, 200_001])('bytes of memory that threads share make the same frame, %i of them', (length) => {
  const bytes = new Uint8Array(new SharedArrayBuffer(length + 3), 3).map((_, at) => at % 251);
  const shared = new Uint8Array(new SharedArrayBuffer(length + 3), 3);
  shared.set(bytes);
  const message = { type: 'weights', step: 7 } as const;
  expect(Buffer.compare(encode({ ...message, bytes: shared }), encode({ ...message, bytes: bytes.slice() }))).toBe(0);
  expect(Buffer.compare(encode(framed({ ...message, bytes: shared })), encode({ ...message, bytes }))).toBe(0);
});
