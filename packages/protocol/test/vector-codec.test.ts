import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { float16Values, toFloat16 } from '../src/float16.ts';
import {
  applyChanges,
  lossyEncodings,
  packChanges,
  packLossy,
  packSparse,
  unpackVector,
  vectorFault,
} from '../src/vector-codec.ts';

const bitsOf = (values: Float32Array): Uint32Array => new Uint32Array(values.buffer, values.byteOffset, values.length);

/** Vectors whose chunks are mostly empty, with every kind of float in the others, -0 and NaN included. */
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
  .chain((chunks) =>
    fc.array(fc.float(), { maxLength: 63 }).map((rest) => Float32Array.from([...chunks.flat(), ...rest])),
  );

/** The same bytes at an odd address. */
function shifted(bytes: Uint8Array): Uint8Array {
  const memory = new Uint8Array(bytes.length + 1);
  memory.set(bytes, 1);
  return memory.subarray(1);
}

describe('packSparse', () => {
  it('gives back every bit, at any address, or says that it would not pay', () => {
    let packedOnes = 0;
    fc.assert(
      fc.property(sparseVectors, (values) => {
        const before = values.slice();
        const packed = packSparse(values);
        if (packed === undefined) {
          expect(bitsOf(values)).toEqual(bitsOf(before));
          return;
        }
        expect(packed.buffer).toBe(values.buffer);
        packedOnes += 1;
        expect(packed.length).toBeLessThan(0.9 * values.byteLength);
        expect(vectorFault(packed, 'sparse', values.length)).toBeUndefined();
        const target = new Float32Array(values.length).fill(7);
        unpackVector(shifted(packed), 'sparse', target);
        expect(bitsOf(target)).toEqual(bitsOf(before));
      }),
      { seed: 20, numRuns: 300 },
    );
    expect(packedOnes).toBeGreaterThan(50);
  });

  it('leaves a vector without empty chunks as it is, and counts -0 as something', () => {
    expect(packSparse(new Float32Array(6400).fill(1))).toBeUndefined();
    expect(packSparse(new Float32Array(6400).fill(-0))).toBeUndefined();
    expect(packSparse(new Float32Array(6400))).toHaveLength(16);
    expect(packSparse(new Float32Array(0))).toBeUndefined();
  });

  it('takes what the first layer of a shard takes: rows of pixels that no sample lit cost one bit for 64 values', () => {
    const values = new Float32Array(784 * 128);
    for (let row = 0; row < 784; row += 2) values.fill(1, row * 128, (row + 1) * 128);
    expect(packSparse(values)).toHaveLength(values.byteLength / 2 + 196);
  });
});

describe('packChanges', () => {
  it('brings what is held to what is, bit by bit, and leaves what did not change where it lies', () => {
    let packedOnes = 0;
    fc.assert(
      fc.property(sparseVectors, fc.array(fc.nat(4000), { maxLength: 6 }), fc.float(), (before, places, value) => {
        const after = before.slice();
        for (const place of places) if (place < after.length) after[place] = value;
        const packed = packChanges(after, before);
        if (packed === undefined) return;
        packedOnes += 1;
        const held = before.slice();
        applyChanges(shifted(packed), held);
        expect(bitsOf(held)).toEqual(bitsOf(after));
        expect(packed.length).toBeLessThanOrEqual(4 * 64 * places.length + 4 * Math.ceil(after.length / 2048));
      }),
      { seed: 9, numRuns: 300 },
    );
    expect(packedOnes).toBeGreaterThan(50);
  });

  it('says that it would not pay where everything has changed, and sees -0 for 0', () => {
    const zeros = new Float32Array(640);
    expect(packChanges(new Float32Array(640).fill(-0), zeros)).toBeUndefined();
    expect(packChanges(zeros, zeros)).toHaveLength(4);
    expect(() => applyChanges(new Uint8Array(7), zeros)).toThrow('packed vector: expected 4 bytes, got 7');
  });
});

describe.each(lossyEncodings)('packLossy %s', (encoding) => {
  const vector = (seed: number, length = 500): Float32Array => {
    let state = seed;
    return Float32Array.from({ length }, () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return ((state >>> 8) / 2 ** 24 - 0.5) * 10 ** ((state & 7) - 4);
    });
  };

  it('sends a half or a quarter of the bytes', () => {
    const packed = packLossy(vector(1, 64_000), encoding, new Float32Array(64_000))!;
    const perValue = packed.length / 64_000;
    if (encoding === 'fp16') expect(perValue).toBeCloseTo(2, 1);
    else expect(perValue).toBeLessThan(1.1);
  });

  it('keeps what it takes in the residual: what arrives and the residual are together all that was sent', () => {
    const residual = new Float32Array(500);
    const arrived = new Float64Array(500);
    const sent = new Float64Array(500);
    const target = new Float32Array(500);
    for (let step = 0; step < 200; step++) {
      const values = vector(step + 1);
      // A chunk without gradient sends nothing, and its residual waits.
      if (step % 3 === 0) values.fill(0, 64, 128);
      const packed = packLossy(values, encoding, residual)!;
      expect(vectorFault(packed, encoding, 500)).toBeUndefined();
      unpackVector(step % 2 === 0 ? packed : shifted(packed), encoding, target);
      if (step % 3 === 0) expect(target.subarray(64, 128).every((value) => value === 0)).toBe(true);
      for (let index = 0; index < 500; index++) {
        arrived[index]! += target[index]!;
        sent[index]! += values[index]!;
      }
    }
    // Largest value 500; its rounding, once, is all that may be missing.
    const rounding = encoding === 'fp16' ? 500 * 2 ** -11 : 500 / 254;
    for (let index = 0; index < 500; index++) {
      expect(Math.abs(residual[index]!)).toBeLessThanOrEqual(2 * rounding);
      expect(arrived[index]! + residual[index]!).toBeCloseTo(sent[index]!, 2);
    }
  });

  it('rounds to the nearest that can be sent', () => {
    const values = vector(5);
    const target = new Float32Array(500);
    unpackVector(packLossy(values, encoding, new Float32Array(500))!, encoding, target);
    for (let from = 0; from < 500; from += 64) {
      const chunk = values.subarray(from, from + 64);
      const largest = Math.max(...chunk.map(Math.abs));
      for (const [index, value] of chunk.entries()) {
        const step = encoding === 'fp16' ? Math.max(Math.abs(value) * 2 ** -10, 2 ** -24) : largest / 127;
        expect(Math.abs(target[from + index]! - value)).toBeLessThanOrEqual(0.5001 * step);
      }
    }
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
    'does not take %s, and keeps the residual',
    (bad) => {
      const residual = new Float32Array(500).fill(0.25);
      const values = vector(3);
      values[170] = bad;
      expect(packLossy(values, encoding, residual)).toBeUndefined();
      expect(residual.every((value) => value === 0.25)).toBe(true);
    },
  );

  it('takes the smallest floats', () => {
    const values = new Float32Array(70).fill(2 ** -149);
    const residual = new Float32Array(70);
    const target = new Float32Array(70);
    unpackVector(packLossy(values, encoding, residual)!, encoding, target);
    for (let index = 0; index < 70; index++) expect(target[index]! + residual[index]!).toBe(values[index]);
  });
});

it('fp16 leaves what is too large for it to float32', () => {
  expect(packLossy(Float32Array.of(65_519), 'fp16', new Float32Array(1))).toBeDefined();
  expect(packLossy(Float32Array.of(65_520), 'fp16', new Float32Array(1))).toBeUndefined();
});

describe('faultOfPacked', () => {
  it('finds what is cut, added or set beyond the end, and unpackVector refuses it', () => {
    const values = new Float32Array(1000);
    values.fill(1, 128, 256);
    for (const encoding of ['sparse', ...lossyEncodings] as const) {
      const packed =
        encoding === 'sparse' ? packSparse(values)! : packLossy(values, encoding, new Float32Array(values.length))!;
      for (let length = 0; length < packed.length; length++) {
        expect(vectorFault(packed.subarray(0, length), encoding, 1000)).toMatch(/^expected .* got/);
      }
      expect(vectorFault(new Uint8Array([...packed, 0]), encoding, 1000)).toMatch(/^expected .* got/);
      const beyond = packed.slice();
      beyond[beyond.length - 2]! |= 1;
      expect(vectorFault(beyond, encoding, 1000)).toBe('expected 16 chunks, got chunk 16');
      expect(() => unpackVector(beyond, encoding, new Float32Array(1000))).toThrow(RangeError);
    }
  });

  it('says something of any bytes at all, and what it lets through can be unpacked', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        fc.constantFrom('sparse' as const, ...lossyEncodings),
        fc.integer({ min: 0, max: 200 }),
        (bytes, encoding, length) => {
          const fault = vectorFault(bytes, encoding, length);
          const unpack = (): void => unpackVector(bytes, encoding, new Float32Array(length));
          if (fault === undefined) unpack();
          else expect(unpack).toThrow(fault);
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

  it('gives back every finite half', () => {
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
