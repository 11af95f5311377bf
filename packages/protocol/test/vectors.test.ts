import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { vectorEncodings } from '../src/messages.ts';
import { decodeVector, encodeHalves, encodeSparse, vectorFault } from '../src/vectors.ts';

const bitsOf = (values: Float32Array): Uint32Array => new Uint32Array(values.buffer, values.byteOffset, values.length);

/** Vectors of mostly empty blocks, with every kind of float in the others, including -0 and NaN. */
const sparseVectors = fc
  .array(
    fc.oneof(
      { weight: 2, arbitrary: fc.constant<number[]>(Array.from({ length: 64 }, () => 0)) },
      {
        weight: 1,
        arbitrary: fc.array(fc.oneof(fc.constant(0), fc.constant(-0), fc.float()), { minLength: 64, maxLength: 64 }),
      },
    ),
    { maxLength: 40 },
  )
  .chain((blocks) =>
    fc.array(fc.float(), { maxLength: 63 }).map((rest) => Float32Array.from([...blocks.flat(), ...rest])),
  );

/** Copies bytes to an odd address. */
function shifted(bytes: Uint8Array): Uint8Array {
  const memory = new Uint8Array(bytes.length + 1);
  memory.set(bytes, 1);
  return memory.subarray(1);
}

describe('encodeSparse', () => {
  it('keeps every bit, at any address, or returns undefined if little is saved', () => {
    let encodedCount = 0;
    fc.assert(
      fc.property(sparseVectors, (values) => {
        const before = values.slice();
        const encoded = encodeSparse(values);
        if (encoded === undefined) {
          expect(bitsOf(values)).toEqual(bitsOf(before));
          return;
        }
        expect(encoded.buffer).toBe(values.buffer);
        encodedCount += 1;
        expect(encoded.length).toBeLessThan(0.9 * values.byteLength);
        expect(vectorFault(encoded, 'sparse', values.length)).toBeUndefined();
        const target = new Float32Array(values.length).fill(7);
        decodeVector(shifted(encoded), 'sparse', target);
        expect(bitsOf(target)).toEqual(bitsOf(before));
      }),
      { seed: 20, numRuns: 300 },
    );
    expect(encodedCount).toBeGreaterThan(50);
  });

  it('leaves a vector without zero blocks as it is, and treats -0 as a value', () => {
    expect(encodeSparse(new Float32Array(6400).fill(1))).toBeUndefined();
    expect(encodeSparse(new Float32Array(6400).fill(-0))).toBeUndefined();
    expect(encodeSparse(new Float32Array(6400))).toHaveLength(16);
    expect(encodeSparse(new Float32Array(0))).toBeUndefined();
  });

  it('spends one bit for 64 zero values, as in rows of a first layer whose pixel is 0 in all samples', () => {
    const values = new Float32Array(784 * 128);
    for (let row = 0; row < 784; row += 2) values.fill(1, row * 128, (row + 1) * 128);
    expect(encodeSparse(values)).toHaveLength(values.byteLength / 2 + 196);
  });
});

describe('encodeHalves', () => {
  const halves = (unit: number) => Float32Array.from({ length: 400 }, (_, at) => (at < 200 ? 0 : at - 300) * unit);

  it.each([1, 2 ** -20, 2 ** 20])('loses nothing of halves in units of %d, in half of the bytes', (unit) => {
    const values = halves(unit / 8);
    const encoded = encodeHalves(values, unit)!;
    expect(encoded.length).toBeLessThanOrEqual(2 * 256 + 4);
    expect(vectorFault(encoded, 'fp16', 400)).toBeUndefined();
    const target = new Float32Array(400).fill(1);
    decodeVector(encoded, 'fp16', target, unit);
    expect(target).toEqual(values);
    decodeVector(shifted(encoded), 'fp16', target.fill(1), unit);
    expect(target).toEqual(values);
  });

  it('rounds what is between two halves to the nearest', () => {
    expect(encodeHalves(Float32Array.of(65_519), 1)).toEqual(encodeHalves(Float32Array.of(65_504), 1));
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, 65_520])('refuses %d', (bad) => {
    const values = halves(1);
    values[250] = bad;
    expect(encodeHalves(values, 1)).toBeUndefined();
    values[250] = bad * 8;
    expect(encodeHalves(values, 8)).toBeUndefined();
  });
});

describe('vectorFault', () => {
  it('finds bytes cut, added or set beyond the end, which decodeVector refuses', () => {
    const values = new Float32Array(1000);
    values.fill(1, 128, 256);
    for (const encoding of vectorEncodings) {
      const encoded = encoding === 'sparse' ? encodeSparse(values.slice())! : encodeHalves(values, 1)!;
      for (let length = 0; length < encoded.length; length++) {
        expect(vectorFault(encoded.subarray(0, length), encoding, 1000)).toMatch(/^expected .* got/);
      }
      expect(vectorFault(new Uint8Array([...encoded, 0]), encoding, 1000)).toMatch(/^expected .* got/);
      const beyond = encoded.slice();
      beyond[beyond.length - 2]! |= 1;
      expect(vectorFault(beyond, encoding, 1000)).toBe('expected 16 blocks, got block 16');
      expect(() => decodeVector(beyond, encoding, new Float32Array(1000))).toThrow(RangeError);
    }
  });

  it('judges any bytes, and decodeVector decodes those without a fault', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        fc.constantFrom(...vectorEncodings),
        fc.integer({ min: 0, max: 200 }),
        (bytes, encoding, length) => {
          const fault = vectorFault(bytes, encoding, length);
          const decode = (): void => decodeVector(bytes, encoding, new Float32Array(length));
          if (fault === undefined) decode();
          else expect(decode).toThrow(fault);
        },
      ),
      { seed: 4, numRuns: 500 },
    );
  });
});
