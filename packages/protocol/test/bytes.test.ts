import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytesOf, checksumOf, copyBytes, float16Values, floatsFrom, halfWordsFrom, toFloat16 } from '../src/bytes.ts';
import { chunkChecksum } from '../src/vectors.ts';

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

const room = 200_000;
const memory = { own: () => new ArrayBuffer(room), shared: () => new SharedArrayBuffer(room) };
const kinds = ['own', 'shared'] as const;

describe('copied bytes', () => {
  it.each(kinds.flatMap((to) => kinds.map((from) => [from, to] as const)))(
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

  it.each(kinds)('that do not fit into %s memory are a RangeError', (to) => {
    const target = new Uint8Array(memory[to](), 1, 20);
    expect(() => copyBytes(target, new Uint8Array(21))).toThrow(RangeError);
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
    // Takes every half but the largest, and a point between each and the next one away from 0.
    const below = finite.filter((half) => (half & 0x7fff) < 0x7bff);
    const between = (part: number): Float32Array =>
      Float32Array.from(below, (half) => values[half]! + (values[half + 1]! - values[half]!) * part);
    expect(halvesOf(between(0.5))).toEqual(below.map((half) => half + (half & 1)));
    expect(halvesOf(between(0.498))).toEqual(below);
    expect(halvesOf(between(0.502))).toEqual(below.map((half) => half + 1));
  });
});

/** Pseudorandom bytes, reproducible by seed. */
function randomBytes(length: number, seed = 1): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state >>> 24;
  });
}

const bytes = randomBytes(1001);

/** Reference implementation: word by word, with BigInt. */
function slowChecksum(data: Uint8Array): number {
  const u32 = (value: bigint): bigint => BigInt.asUintN(32, value);
  const taken = (lane: bigint, word: bigint): bigint => {
    const product = u32((lane + word) * 0x9e3779b1n);
    return product ^ (product >> 16n);
  };
  const padded = new Uint8Array(128 * Math.ceil(data.length / 128));
  padded.set(data);
  const lanes = new Array<bigint>(32).fill(0n);
  const view = new DataView(padded.buffer);
  for (let at = 0; at < padded.length; at += 4) {
    const lane = (at / 4) % 32;
    lanes[lane] = taken(lanes[lane]!, BigInt(view.getUint32(at, true)));
  }
  let sum = lanes.reduce(taken, BigInt(data.length));
  sum = u32((sum ^ (sum >> 15n)) * 0x85ebca77n);
  sum = u32((sum ^ (sum >> 13n)) * 0xc2b2ae3dn);
  return Number(sum ^ (sum >> 16n));
}

/** Lengths around a word, a block of 128 bytes and a piece of 16 KiB. */
const lengths = [0, 1, 3, 4, 5, 127, 128, 129, 255, 1001, 16_383, 16_384, 16_385, 16_513, 40_000];

describe('checksumOf', () => {
  it('keeps its values, which peers of one protocol version share', () => {
    expect(checksumOf(new Uint8Array(0))).toBe(0);
    expect(checksumOf(new TextEncoder().encode('abc'))).toBe(986_176_172);
    expect(checksumOf(bytes)).toBe(1_305_060_320);
  });

  it('changes with any one bit, and differently with each', () => {
    const sums = new Set([checksumOf(bytes)]);
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const damaged = bytes.slice();
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      sums.add(checksumOf(damaged));
    }
    expect(sums.size).toBe(bytes.length * 8 + 1);
  });

  it('changes with any two bits, in neighboring blocks of a lane as well', () => {
    const good = checksumOf(bytes);
    for (let first = 0; first < 32; first++) {
      for (let second = 0; second < 32; second++) {
        for (const distance of [4, 8, 16, 124, 128, 256]) {
          const damaged = bytes.slice();
          damaged[100 + (first >> 3)]! ^= 1 << (first & 7);
          damaged[100 + distance + (second >> 3)]! ^= 1 << (second & 7);
          expect(checksumOf(damaged), `bits ${first}, ${second} at ${distance}`).not.toBe(good);
        }
      }
    }
  });

  it('changes if two words change places', () => {
    const good = checksumOf(bytes);
    for (let first = 0; first < 250; first++) {
      for (let second = 0; second < first; second++) {
        const damaged = bytes.slice();
        damaged.copyWithin(4 * first, 4 * second, 4 * second + 4);
        damaged.set(bytes.subarray(4 * first, 4 * first + 4), 4 * second);
        expect(checksumOf(damaged), `words ${first}, ${second}`).not.toBe(good);
      }
    }
  });

  it('changes if bytes are shifted, cut off or added, zeros as well', () => {
    const zeros = new Uint8Array(300);
    const some = Uint8Array.of(...zeros, ...bytes.subarray(0, 200), ...zeros);
    for (const data of [bytes, some, zeros]) {
      const sums = new Set<number>();
      for (let length = 0; length <= data.length; length++) sums.add(checksumOf(data.subarray(0, length)));
      expect(sums.size).toBe(data.length + 1);
    }
    for (const data of [bytes, some]) {
      const sums = Array.from(data, (_, by) =>
        checksumOf(Uint8Array.of(...data.subarray(by), ...data.subarray(0, by))),
      );
      // No two rotations are equal, because the zeros are not periodic.
      expect(new Set(sums).size).toBe(data.length);
    }
  });

  it('changes if a part is overwritten by another, as by a frame that is too late', () => {
    const place = fc.integer({ min: 0, max: 1000 });
    fc.assert(
      fc.property(place, place, fc.integer({ min: 1, max: 500 }), (from, to, length) => {
        const damaged = bytes.slice().copyWithin(to, from, from + length);
        const isSame = damaged.every((byte, at) => byte === bytes[at]);
        expect(checksumOf(damaged) === checksumOf(bytes)).toBe(isSame);
      }),
      { seed: 5, numRuns: 2000 },
    );
  });

  it('is that of its definition, at any alignment, in shared memory, and after earlier calls', () => {
    for (const length of lengths) {
      const data = randomBytes(length, 7);
      const expected = slowChecksum(data);
      expect(checksumOf(data), `${length} bytes`).toBe(expected);
      for (const memory of [new ArrayBuffer(length + 8), new SharedArrayBuffer(length + 8)]) {
        for (let offset = 0; offset < 8; offset++) {
          const shifted = new Uint8Array(memory, offset, length);
          shifted.set(data);
          expect(checksumOf(shifted)).toBe(expected);
        }
      }
      checksumOf(new Uint8Array(500_000).fill(255));
      expect(checksumOf(data)).toBe(expected);
    }
  });
});

it('the checksum of a chunk changes with its place, and is taken by what is given', () => {
  const sums = [1, 2, 64, 128].map((at) => chunkChecksum({ at, bytes }));
  expect(new Set(sums).size).toBe(4);
  expect(chunkChecksum({ at: 1, bytes }, slowChecksum)).toBe(sums[0]);
});
