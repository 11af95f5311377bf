import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { float16Values, toFloat16 } from '../src/float16.ts';
import { lossyEncodings } from '../src/lossy-format.ts';
import {
  decodeVector,
  encodeHalves,
  encodeLevels,
  encodeLossy,
  encodeSparse,
  vectorEncodings,
  vectorFault,
} from '../src/vector-codec.ts';

const bitsOf = (values: Float32Array): Uint32Array => new Uint32Array(values.buffer, values.byteOffset, values.length);

/** Vectors whose blocks are mostly empty, with every kind of float in the others, -0 and NaN included. */
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

/** The same bytes at an odd address. */
function shifted(bytes: Uint8Array): Uint8Array {
  const memory = new Uint8Array(bytes.length + 1);
  memory.set(bytes, 1);
  return memory.subarray(1);
}

describe('encodeSparse', () => {
  it('keeps every bit, at any address, or returns undefined where little is saved', () => {
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

describe.each(lossyEncodings)('encodeLossy %s', (encoding) => {
  const vector = (seed: number, length = 500): Float32Array => {
    let state = seed;
    return Float32Array.from({ length }, () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return ((state >>> 8) / 2 ** 24 - 0.5) * 10 ** ((state & 7) - 4);
    });
  };

  it('sends a half or a quarter of the bytes', () => {
    const encoded = encodeLossy(vector(1, 64_000), encoding, new Float32Array(64_000))!;
    const perValue = encoded.length / 64_000;
    if (encoding === 'fp16') expect(perValue).toBeCloseTo(2, 1);
    else expect(perValue).toBeLessThan(1.1);
  });

  it('keeps rounding errors in the residual: decoded vectors and residual add up to the vectors encoded', () => {
    const residual = new Float32Array(500);
    const arrived = new Float64Array(500);
    const sent = new Float64Array(500);
    const target = new Float32Array(500);
    for (let step = 0; step < 200; step++) {
      const values = vector(step + 1);
      // A zero block is not sent, and its residual waits.
      if (step % 3 === 0) values.fill(0, 64, 128);
      const encoded = encodeLossy(values, encoding, residual)!;
      expect(vectorFault(encoded, encoding, 500)).toBeUndefined();
      decodeVector(step % 2 === 0 ? encoded : shifted(encoded), encoding, target);
      if (step % 3 === 0) expect(target.subarray(64, 128).every((value) => value === 0)).toBe(true);
      for (let index = 0; index < 500; index++) {
        arrived[index]! += target[index]!;
        sent[index]! += values[index]!;
      }
    }
    // The largest value is 500; one rounding of it is all that may be missing.
    const rounding = encoding === 'fp16' ? 500 * 2 ** -11 : 500 / 254;
    for (let index = 0; index < 500; index++) {
      expect(Math.abs(residual[index]!)).toBeLessThanOrEqual(2 * rounding);
      expect(arrived[index]! + residual[index]!).toBeCloseTo(sent[index]!, 2);
    }
  });

  it('rounds to the nearest value of the format', () => {
    const values = vector(5);
    const target = new Float32Array(500);
    decodeVector(encodeLossy(values, encoding, new Float32Array(500))!, encoding, target);
    for (let from = 0; from < 500; from += 64) {
      const block = values.subarray(from, from + 64);
      const largest = Math.max(...block.map(Math.abs));
      for (const [index, value] of block.entries()) {
        const step = encoding === 'fp16' ? Math.max(Math.abs(value) * 2 ** -10, 2 ** -24) : largest / 127;
        expect(Math.abs(target[from + index]! - value)).toBeLessThanOrEqual(0.5001 * step);
      }
    }
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
    'refuses %s, and keeps the residual',
    (bad) => {
      const residual = new Float32Array(500).fill(0.25);
      const values = vector(3);
      values[170] = bad;
      expect(encodeLossy(values, encoding, residual)).toBeUndefined();
      expect(residual.every((value) => value === 0.25)).toBe(true);
    },
  );

  it('keeps the smallest floats in the residual', () => {
    const values = new Float32Array(70).fill(2 ** -149);
    const residual = new Float32Array(70);
    const target = new Float32Array(70);
    decodeVector(encodeLossy(values, encoding, residual)!, encoding, target);
    for (let index = 0; index < 70; index++) expect(target[index]! + residual[index]!).toBe(values[index]);
  });
});

it('fp16 refuses values that are too large for it', () => {
  expect(encodeLossy(Float32Array.of(65_519), 'fp16', new Float32Array(1))).toBeDefined();
  expect(encodeLossy(Float32Array.of(65_520), 'fp16', new Float32Array(1))).toBeUndefined();
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
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, 65_520])('refuses %d', (bad) => {
    const values = halves(1);
    values[250] = bad;
    expect(encodeHalves(values, 1)).toBeUndefined();
    values[250] = bad * 8;
    expect(encodeHalves(values, 8)).toBeUndefined();
  });
});

describe('encodeLevels', () => {
  const units = Float32Array.from({ length: 400 }, (_, index) => 2 ** ((index >> 6) - 3));
  const levels = units.map((unit, index) => (index < 200 ? 0 : (index % 255) - 127) * unit);

  it('loses nothing of whole levels, in a quarter of the bytes', () => {
    const encoded = encodeLevels(levels, units)!;
    expect(encoded.length).toBeLessThanOrEqual(256 + 4);
    expect(vectorFault(encoded, 'levels', 400)).toBeUndefined();
    const target = new Float32Array(400).fill(1);
    decodeVector(encoded, 'levels', target, units);
    expect(target).toEqual(levels);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, 128, -129, 0.5])('refuses level %d', (bad) => {
    const values = levels.slice();
    values[250] = bad * units[250]!;
    expect(encodeLevels(values, units)).toBeUndefined();
  });
});

describe('vectorFault', () => {
  it('finds bytes cut, added or set beyond the end, which decodeVector refuses', () => {
    const values = new Float32Array(1000);
    values.fill(1, 128, 256);
    for (const encoding of ['sparse', ...lossyEncodings] as const) {
      const encoded =
        encoding === 'sparse' ? encodeSparse(values)! : encodeLossy(values, encoding, new Float32Array(values.length))!;
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

describe('toFloat16', () => {
  const values = float16Values();
  const finite = Uint16Array.from({ length: 65_536 }, (_, half) => half).filter((half) =>
    Number.isFinite(values[half]!),
  );
  const halvesOf = (wanted: Float32Array): Uint16Array => {
    const halves = new Uint16Array(wanted.length);
    expect(toFloat16(wanted, halves)).toBe(true);
    return halves;
  };

  it('keeps every finite half', () => {
    expect(finite).toHaveLength(65_536 - 2 * 1024);
    expect(halvesOf(Float32Array.from(finite, (half) => values[half]!))).toEqual(finite);
  });

  it('rounds to the nearest, ties to even, on both sides of 0', () => {
    // Every half but the largest, and what lies between it and the next one from 0.
    const below = finite.filter((half) => (half & 0x7fff) < 0x7bff);
    const between = (part: number): Float32Array =>
      Float32Array.from(below, (half) => values[half]! + (values[half + 1]! - values[half]!) * part);
    expect(halvesOf(between(0.5))).toEqual(below.map((half) => half + (half & 1)));
    expect(halvesOf(between(0.498))).toEqual(below);
    expect(halvesOf(between(0.502))).toEqual(below.map((half) => half + 1));
  });
});
