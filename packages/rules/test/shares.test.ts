import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { coarseShares, type Speed, shares } from '../src/schedule.ts';
import { shardsOfRange } from '../src/tree.ts';

const rate = fc.oneof(fc.constant(0), fc.double({ min: 1e-4, max: 1e6, noNaN: true }));
const overheadMs = fc.oneof(fc.constant(0), fc.double({ min: 0, max: 1e6, noNaN: true }));
const anySpeeds: fc.Arbitrary<Speed[]> = fc.array(fc.record({ rate, overheadMs }), { minLength: 1, maxLength: 12 });

const speeds = (...rates: number[]): Speed[] => rates.map((rate) => ({ rate, overheadMs: 0 }));

/** Returns the milliseconds until the last worker has computed its share. */
const stepMs = (cut: readonly number[], known: readonly Speed[]): number =>
  Math.max(...cut.map((share, at) => (share > 0 ? known[at]!.overheadMs + share / known[at]!.rate : 0)));

/** Generates every way to cut `microbatches` among `workers`. */
function* cutsOf(microbatches: number, workers: number): Generator<number[]> {
  if (workers === 1) {
    yield [microbatches];
    return;
  }
  for (let first = 0; first <= microbatches; first++) {
    for (const rest of cutsOf(microbatches - first, workers - 1)) yield [first, ...rest];
  }
}

describe('shares', () => {
  it('add up to all microbatches, none below 0', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000 }), anySpeeds, (microbatches, workers) => {
        const cut = shares(microbatches, workers);
        expect(cut).toHaveLength(workers.length);
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
          for (const [index, share] of shares(microbatches, speeds(...samplesPerMs)).entries()) {
            expect(Math.abs(share - (microbatches * samplesPerMs[index]!) / total)).toBeLessThanOrEqual(1);
          }
        },
      ),
    );
  });

  it('count an unmeasured worker as average', () => {
    expect(shares(12, speeds(2, 0, 4))).toEqual(shares(12, speeds(2, 3, 4)));
    expect(shares(9, speeds(0, 0, 0))).toEqual([3, 3, 3]);
  });

  it('take as long as the best of all cuts, but for the rounding to whole microbatches', () => {
    const speed = fc.record({
      rate: fc.double({ min: 0.1, max: 10, noNaN: true }),
      overheadMs: fc.double({ min: 0, max: 50, noNaN: true }),
    });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 12 }),
        fc.array(speed, { minLength: 1, maxLength: 4 }),
        (microbatches, workers) => {
          const bestMs = Math.min(...[...cutsOf(microbatches, workers.length)].map((cut) => stepMs(cut, workers)));
          const roundingMs = Math.max(...workers.map(({ rate }) => 1 / rate));
          expect(stepMs(shares(microbatches, workers), workers)).toBeLessThanOrEqual(bestMs + roundingMs + 1e-9);
        },
      ),
    );
  });

  it.each([
    { overheads: [0, 0, 40], cut: [16, 16, 0], reason: 'longer than the others take in all' },
    { overheads: [0, 0, 8], cut: [13, 14, 5], reason: 'a part of that' },
    { overheads: [40, 40, 40], cut: [11, 10, 11], reason: 'that of every worker' },
  ])('with overheads of $overheads ms, $reason, are $cut', ({ overheads, cut }) => {
    const known = overheads.map((ms) => ({ rate: 1, overheadMs: ms }));
    expect(shares(32, known)).toEqual(cut);
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

  it('take at most 12.5 % longer than the finest if only rates differ, in any unit of time', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 200 }),
        fc.array(fc.double({ min: 0.01, max: 100, noNaN: true }), { minLength: 1, maxLength: 8 }),
        (microbatches, rates) => {
          const known = speeds(...rates);
          const coarse = coarseShares(microbatches, known);
          expect(stepMs(coarse, known)).toBeLessThanOrEqual(1.1251 * stepMs(shares(microbatches, known), known));
          expect(coarseShares(microbatches, speeds(...rates.map((rate) => 1024 * rate)))).toEqual(coarse);
        },
      ),
    );
  });

  /** Returns the milliseconds until the last worker has sent its gradients, each while it computes the next shard. */
  const sentMs = (cut: readonly number[], known: readonly Speed[]): number => {
    let from = 0;
    const ends = cut.map((share, at) => {
      const shards = shardsOfRange(from, from + share);
      from += share;
      const { rate, overheadMs, gradientMs = 0 } = known[at]!;
      // The last gradient is sent after one of the shards without a pause, whichever takes longest.
      const times = shards.map((_, first) => {
        const computed = shards.slice(0, first + 1).reduce((sum, { n }) => sum + n / rate, 0);
        return computed + (shards.length - 1 - first) * gradientMs;
      });
      return share > 0 ? overheadMs + Math.max(...times) : 0;
    });
    return Math.max(...ends);
  };

  it('add up to all, exclude no worker that the finest include, and take at most 12.5 % or 3 ms longer, messages included', () => {
    const speed = fc.record({
      rate: fc.double({ min: 1e-4, max: 1e6, noNaN: true }),
      overheadMs,
      gradientMs: fc.oneof(fc.constant(0), fc.double({ min: 0, max: 100, noNaN: true })),
    });
    const workers = fc.array(speed, { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000 }), workers, (count, known) => {
        const [finest, coarse] = [shares(count, known), coarseShares(count, known)];
        expect(coarse.every((share, at) => Number.isInteger(share) && share >= (finest[at] === 0 ? 0 : 1))).toBe(true);
        expect(coarse.reduce((sum, share) => sum + share, 0)).toBe(count);
        const mostMs = Math.max(1.125 * sentMs(finest, known), sentMs(finest, known) + 3);
        expect(sentMs(coarse, known)).toBeLessThanOrEqual(mostMs * (1 + 1e-9));
      }),
      { numRuns: 200 },
    );
  });

  it('align with larger shards the more a gradient costs', () => {
    const of = (gradientMs: number): number[] => {
      const known = [100, 70, 90, 85].map((rate) => ({ rate: rate / 100, overheadMs: 0, gradientMs }));
      return coarseShares(64, known);
    };
    expect([0, 1, 4, 16].map((gradientMs) => shardsOf(of(gradientMs)))).toEqual([6, 6, 6, 4]);
    expect(of(16)).toEqual([16, 16, 16, 16]);
  });

  it('are equal, though that takes two more gradients, if these travel while others are computed', () => {
    const equal = { rate: 0.1, overheadMs: 12 };
    const of = (gradientMs: number): number[] =>
      coarseShares(
        6,
        [equal, equal].map((speed) => ({ ...speed, gradientMs })),
      );
    expect([0, 10, 40].map(of)).toEqual([
      [3, 3],
      [3, 3],
      [4, 2],
    ]);
  });

  it.each([
    // Rates that differ only by noise give each worker one shard, instead of six shards in all.
    { microbatches: 32, samplesPerMs: [100, 113], cut: [16, 16], shards: 2 },
    { microbatches: 32, samplesPerMs: [2, 1], cut: [24, 8], shards: 3 },
    { microbatches: 32, samplesPerMs: [1, 1, 1], cut: [12, 8, 12], shards: 6 },
    { microbatches: 8, samplesPerMs: [1, 0], cut: [4, 4], shards: 2 },
    // A short last batch, whose end is not the end of a shard.
    { microbatches: 7, samplesPerMs: [1, 1], cut: [4, 3], shards: 3 },
    { microbatches: 4, samplesPerMs: [1, 1, 1], cut: [1, 2, 1], shards: 4 },
  ])('of $microbatches microbatches among $samplesPerMs are $cut', ({ microbatches, samplesPerMs, cut, shards }) => {
    expect(coarseShares(microbatches, speeds(...samplesPerMs))).toEqual(cut);
    expect(shardsOf(cut)).toBe(shards);
  });
});
