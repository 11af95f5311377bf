import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { permutation } from '../src/order.ts';

const seeds = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const epochs = fc.nat(200);

describe('permutation', () => {
  it('visits every sample once', () => {
    fc.assert(
      fc.property(fc.nat(500), seeds, epochs, (count, seed, epoch) => {
        const sorted = permutation(count, seed, epoch).sort();
        expect(sorted).toEqual(Uint32Array.from({ length: count }, (_, index) => index));
      }),
    );
  });

  it('is the same for the same seed and epoch, another for any other', () => {
    fc.assert(
      fc.property(seeds, epochs, seeds, epochs, (seed, epoch, otherSeed, otherEpoch) => {
        const order = permutation(64, seed, epoch);
        expect(permutation(64, seed, epoch)).toEqual(order);
        if (seed !== otherSeed) expect(permutation(64, otherSeed, epoch)).not.toEqual(order);
        if (epoch !== otherEpoch) expect(permutation(64, seed, otherEpoch)).not.toEqual(order);
      }),
    );
  });

  // The values come from a separate implementation of xoroshiro128+ and the shuffle, in Python's integers.
  it('never changes', () => {
    expect([...permutation(10, 0, 0)]).toEqual([9, 4, 7, 5, 3, 6, 0, 1, 8, 2]);
    expect([...permutation(10, 0, 1)]).toEqual([2, 1, 4, 9, 3, 6, 0, 7, 5, 8]);
    expect([...permutation(10, 1, 0)]).toEqual([6, 3, 0, 7, 4, 9, 2, 5, 8, 1]);
    expect([...permutation(10, 2 ** 32 - 1, 3)]).toEqual([6, 0, 9, 5, 8, 2, 7, 1, 4, 3]);
    const order = permutation(60_000, 1, 0);
    expect([...order.subarray(0, 5)]).toEqual([5380, 25606, 53109, 44491, 57581]);
    expect(createHash('sha256').update(new Uint8Array(order.buffer)).digest('hex')).toBe(
      '33b786228790bd1955ecdc342dc3904c3cc04382c84100cf83b06e47a0f94fc2',
    );
  });

  it('puts every sample first about equally often over seeds', () => {
    const firsts = new Array<number>(10).fill(0);
    for (let seed = 0; seed < 5000; seed += 1) firsts[permutation(10, seed, 0)[0]!]! += 1;
    // Chi-square with 9 degrees of freedom: 27.9 is exceeded once in a thousand tries, and the seeds are fixed.
    const chiSquare = firsts.reduce((sum, count) => sum + (count - 500) ** 2 / 500, 0);
    expect(chiSquare).toBeLessThan(27.9);
  });

  it('refuses a count, seed or epoch out of range', () => {
    expect(() => permutation(-1, 0, 0)).toThrow('count: expected a whole number from 0 to 4294967295, got -1');
    expect(() => permutation(3, 2 ** 32, 0)).toThrow(
      'seed: expected a whole number from 0 to 4294967295, got 4294967296',
    );
    expect(() => permutation(3, 0, 0.5)).toThrow('epoch: expected a whole number of at least 0, got 0.5');
  });
});
