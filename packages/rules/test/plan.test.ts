import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planRun, samplesInShard, shardRange, stepBatch, usedMicrobatches } from '../src/plan.ts';
import { nextPowerOfTwo } from '../src/tree.ts';

const options = fc.record({
  samples: fc.integer({ min: 1, max: 2_000 }),
  batch: fc.integer({ min: 1, max: 600 }),
  epochs: fc.integer({ min: 1, max: 4 }),
  microbatchSize: fc.option(fc.integer({ min: 1, max: 70 }), { nil: undefined }),
});

describe('the plan of a run', () => {
  it('visits every sample once in each epoch, with a short batch at its end', () => {
    fc.assert(
      fc.property(options, (given) => {
        const plan = planRun(given);
        expect(plan.steps).toBe(plan.stepsPerEpoch * given.epochs);
        let next = 0;
        for (let step = 0; step < plan.steps; step++) {
          const { epoch, first, count } = stepBatch(plan, step);
          expect(epoch).toBe(Math.floor(step / plan.stepsPerEpoch));
          expect(first).toBe(next);
          expect(count).toBeGreaterThanOrEqual(1);
          expect(count).toBeLessThanOrEqual(given.batch);
          next = (first + count) % given.samples;
        }
        expect(next).toBe(0);
      }),
    );
  });

  it('has a power of two of microbatches, the fewest that hold a batch', () => {
    fc.assert(
      fc.property(options, (given) => {
        const { microbatches, microbatchSize } = planRun(given);
        const largest = Math.min(given.batch, given.samples);
        expect(nextPowerOfTwo(microbatches)).toBe(microbatches);
        expect(microbatches * microbatchSize).toBeGreaterThanOrEqual(largest);
        if (microbatches > 1) expect((microbatches / 2) * microbatchSize).toBeLessThan(largest);
      }),
    );
  });

  it('keeps the last, short batch of an epoch', () => {
    const plan = planRun({ samples: 60_000, batch: 512, epochs: 2 });
    expect(plan.stepsPerEpoch).toBe(118);
    expect(stepBatch(plan, 0)).toEqual({ epoch: 0, first: 0, count: 512 });
    expect(stepBatch(plan, 117)).toEqual({ epoch: 0, first: 59_904, count: 96 });
    expect(stepBatch(plan, 118)).toEqual({ epoch: 1, first: 0, count: 512 });
    expect(stepBatch(planRun({ samples: 3, batch: 100, epochs: 8 }), 7)).toEqual({ epoch: 7, first: 0, count: 3 });
  });

  it('gives no samples to microbatches that are padding', () => {
    const plan = planRun({ samples: 90, batch: 128, epochs: 2, microbatchSize: 16 });
    expect(plan.microbatches).toBe(8);
    expect(shardRange(plan, 1, 6, 2)).toEqual({ epoch: 1, from: 90, to: 90 });
    expect(shardRange(plan, 0, 4, 4)).toEqual({ epoch: 0, from: 64, to: 90 });
    expect(shardRange(plan, 0, 0, 8)).toEqual({ epoch: 0, from: 0, to: 90 });
  });

  it('fills the microbatches of a step from the first on; those past its samples are empty', () => {
    fc.assert(
      fc.property(options, fc.nat(), (given, at) => {
        const plan = planRun(given);
        const step = at % plan.steps;
        const used = usedMicrobatches(plan, step);
        const inMicrobatch = Array.from({ length: plan.microbatches }, (_, microbatch) =>
          samplesInShard(plan, step, microbatch, 1),
        );
        expect(inMicrobatch.slice(0, used - 1).every((count) => count === plan.microbatchSize)).toBe(true);
        expect(inMicrobatch[used - 1]).toBeGreaterThanOrEqual(1);
        expect(inMicrobatch.slice(used).every((count) => count === 0)).toBe(true);
        const sum = inMicrobatch.reduce((total, count) => total + count, 0);
        expect(sum).toBe(stepBatch(plan, step).count);
        expect(samplesInShard(plan, step, 0, plan.microbatches)).toBe(sum);
      }),
    );
  });

  it('ends after the number of steps that is asked for, and at the latest after its last epoch', () => {
    expect(planRun({ samples: 100, batch: 10, epochs: 3, steps: 17 }).steps).toBe(17);
    expect(planRun({ samples: 100, batch: 10, epochs: 3, steps: 31 }).steps).toBe(30);
  });

  it.each([
    ['samples', { samples: 0, batch: 1, epochs: 1 }],
    ['batch', { samples: 1, batch: 1.5, epochs: 1 }],
    ['batch', { samples: 1, batch: Number.NaN, epochs: 1 }],
    ['epochs', { samples: 1, batch: 1, epochs: -1 }],
    ['steps', { samples: 1, batch: 1, epochs: 1, steps: 0 }],
    ['microbatchSize', { samples: 1, batch: 1, epochs: 1, microbatchSize: Number.POSITIVE_INFINITY }],
  ])('throws a RangeError that names %s where it is not a positive integer', (name, given) => {
    expect(() => planRun(given)).toThrow(new RegExp(`^${name}: expected a whole number of at least 1, got `));
  });
});

describe('the default microbatch', () => {
  it('holds 16 to 64 samples, a power of two', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100_000 }), (batch) => {
        expect([16, 32, 64]).toContain(planRun({ samples: 60_000, batch, epochs: 1 }).microbatchSize);
      }),
    );
  });

  it('cuts a batch of 64 or more into at least four, twice as many as two workers', () => {
    for (let batch = 64; batch <= 4_096; batch += 64) {
      const plan = planRun({ samples: 60_000, batch, epochs: 1 });
      expect(usedMicrobatches(plan, 0)).toBeGreaterThanOrEqual(4);
    }
  });
});
