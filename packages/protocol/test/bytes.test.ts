import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytesOf, floatsFrom, halfWordsFrom } from '../src/bytes.ts';

describe('floatsFrom', () => {
  it('keeps all bits, NaN payloads included, at any alignment', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), fc.nat(7), (data, offset) => {
        const whole = data.subarray(0, data.length - (data.length % 4));
        const frame = new Uint8Array(offset + whole.length);
        frame.set(whole, offset);
        const floats = floatsFrom(frame.subarray(offset));
        expect(floats.byteOffset).toBe(0);
        expect(bytesOf(floats)).toEqual(whole);
      }),
    );
  });

  it('copies, so that the frame can be reused', () => {
    const frame = Uint8Array.of(0, 0, 128, 63);
    const floats = floatsFrom(frame);
    frame.fill(0);
    expect([...floats]).toEqual([1]);
  });

  it('refuses a length that is no multiple of 4', () => {
    expect(() => floatsFrom(new Uint8Array(7))).toThrow('float32 bytes: expected a multiple of 4, got 7');
  });
});

describe('halfWordsFrom', () => {
  it('reads what bytesOf wrote, at any alignment', () => {
    fc.assert(
      fc.property(fc.uint16Array({ maxLength: 20 }), fc.nat(3), (numbers, offset) => {
        const frame = new Uint8Array(offset + numbers.byteLength);
        frame.set(bytesOf(numbers), offset);
        expect(halfWordsFrom(frame.subarray(offset))).toEqual(numbers);
      }),
    );
  });

  it('refuses half a number', () => {
    expect(() => halfWordsFrom(new Uint8Array(3))).toThrow('u16 bytes: expected a multiple of 2, got 3');
  });
});

describe('bytesOf', () => {
  it('views part of an array as little-endian bytes', () => {
    const floats = new Float32Array([9, 1, -2]).subarray(1);
    const bytes = bytesOf(floats);
    expect([...bytes]).toEqual([0, 0, 128, 63, 0, 0, 0, 192]);
    expect(bytes.buffer).toBe(floats.buffer);
  });
});
