import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { coarseShares, shares } from '../../src/coordinator/shares.ts';
import { shardsOfRange } from '../../src/tree.ts';

const rates = fc.array(fc.oneof(fc.constant(0), fc.double({ min: 1e-4, max: 1e6, noNaN: true })), {
  minLength: 1,
  maxLength: 12,
});

describe('shares', () => {
  it('add up to all microbatches, none below 0', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000 }), rates, (microbatches, samplesPerMs) => {
        const cut = shares(microbatches, samplesPerMs);
        expect(cut).toHaveLength(samplesPerMs.length);
        expect(cut.every((share) => Number.isInteger(share) && share >= 0)).toBe(true);
        expect(cut.reduce((sum, share) => sum + share, 0)).toBe(microbatches);
      }),
    );
  });

  it('are within one microbatch of the exact proportion', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 200 }),
        fc.array(fc.integer({ min: 1, max: 1_000 }), { minLength: 1, maxLength: 8 }),
        (microbatches, samplesPerMs) => {
          const total = samplesPerMs.reduce((sum, rate) => sum + rate, 0);
          for (const [index, share] of shares(microbatches, samplesPerMs).entries()) {
            expect(Math.abs(share - (microbatches * samplesPerMs[index]!) / total)).toBeLessThanOrEqual(1);
          }
        },
      ),
    );
  });

  it('count an unmeasured worker as average', () => {
    expect(shares(12, [2, 0, 4])).toEqual(shares(12, [2, 3, 4]));
    expect(shares(9, [0, 0, 0])).toEqual([3, 3, 3]);
  });
});

describe('coarse shares', () => {
  const shardsOf = (cut: readonly number[]): number => {
    let from = 0;
    return cut.reduce((shards, share) => {
      const own = shardsOfRange(from, from + share).length;
      from += share;
      return shards + own;
    }, 0);
  };

  it('add up to all microbatches, exclude no worker that the finest cut includes, and take at most 12.5 % longer', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000 }), rates, (microbatches, samplesPerMs) => {
        const known = samplesPerMs.map((rate) => rate || 1);
        const [finest, coarse] = [shares(microbatches, known), coarseShares(microbatches, known)];
        expect(coarse.every((share, at) => Number.isInteger(share) && share >= (finest[at] === 0 ? 0 : 1))).toBe(true);
        expect(coarse.reduce((sum, share) => sum + share, 0)).toBe(microbatches);
        const slowest = (cut: readonly number[]) => Math.max(...cut.map((share, at) => share / known[at]!));
        expect(slowest(coarse)).toBeLessThanOrEqual(slowest(finest) * 1.126);
      }),
    );
  });

  it.each([
    // Rates that differ by noise alone give one shard to each worker, not six in all.
    { microbatches: 32, samplesPerMs: [100, 113], cut: [16, 16], shards: 2 },
    { microbatches: 32, samplesPerMs: [2, 1], cut: [24, 8], shards: 3 },
    { microbatches: 32, samplesPerMs: [1, 1, 1], cut: [12, 8, 12], shards: 6 },
    { microbatches: 8, samplesPerMs: [1, 0], cut: [4, 4], shards: 2 },
    // A short last batch, which does not end where a shard does.
    { microbatches: 7, samplesPerMs: [1, 1], cut: [4, 3], shards: 3 },
    { microbatches: 4, samplesPerMs: [1, 1, 1], cut: [1, 2, 1], shards: 4 },
  ])('of $microbatches microbatches among $samplesPerMs are $cut', ({ microbatches, samplesPerMs, cut, shards }) => {
    expect(coarseShares(microbatches, samplesPerMs)).toEqual(cut);
    expect(shardsOf(cut)).toBe(shards);
  });
});
