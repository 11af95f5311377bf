import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  batchForWorkers,
  microbatchSizeFor,
  planRun,
  samplesInShard,
  shardRange,
  stepBatch,
  usedMicrobatches,
} from '../src/plan.ts';
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
          expect(count).toBe(Math.min(given.batch, given.samples - first));
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
  ])('throws a RangeError that names %s if it is not a positive integer', (name, given) => {
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

const isPowerOfTwo = (value: number): boolean => nextPowerOfTwo(value) === value;
const usualBatch = fc.constantFrom(16, 32, 64, 128);
const workers = fc.integer({ min: 1, max: 512 });
const extraSamples = fc.integer({ min: 0, max: 100_000 });

describe('the batch for a number of workers', () => {
  it('gives each a microbatch of every full step, whatever the data and the microbatch', () => {
    const microbatchSize = fc.option(fc.integer({ min: 1, max: 100 }), { nil: undefined });
    fc.assert(
      fc.property(workers, extraSamples, usualBatch, microbatchSize, (count, extra, usual, given) => {
        const samples = count * (given ?? 1) + extra;
        const chosen = batchForWorkers({ samples, workers: count, usualBatch: usual, microbatchSize: given });
        const plan = planRun({ samples, epochs: 1, ...chosen });
        expect(usedMicrobatches(plan, 0)).toBeGreaterThanOrEqual(count);
        expect(chosen.batch).toBeLessThanOrEqual(samples);
        if (given === undefined) expect(isPowerOfTwo(chosen.microbatchSize)).toBe(true);
        else expect([chosen.microbatchSize, chosen.batch % given]).toEqual([given, 0]);
      }),
    );
  });

  it('has a power of two of microbatches and no more samples than they need, if the data have enough', () => {
    fc.assert(
      fc.property(workers, usualBatch, (count, usual) => {
        const samples = 8 * 16 * nextPowerOfTwo(count) + usual;
        const { batch, microbatchSize } = batchForWorkers({ samples, workers: count, usualBatch: usual });
        expect(isPowerOfTwo(batch / microbatchSize)).toBe(true);
        expect(batch).toBe(Math.max(usual, 16 * nextPowerOfTwo(count)));
      }),
    );
  });

  it.each<[samples: number, workers: number, usual: number, batch: number, microbatch: number, given?: number]>([
    [60_000, 2, 128, 128, 32],
    [60_000, 8, 128, 128, 16],
    [60_000, 32, 128, 512, 16],
    [60_000, 33, 128, 1024, 16],
    [120, 30, 16, 32, 1],
    [30, 30, 16, 30, 1],
    [60_000, 32, 128, 320, 10, 10],
  ])('for %i samples and %i workers, usually %i, is %i, in microbatches of %i', (samples, workers, usual, ...row) => {
    const [batch, microbatchSize, given] = row;
    const chosen = batchForWorkers({ samples, workers, usualBatch: usual, ...(given && { microbatchSize: given }) });
    expect(chosen).toEqual({ batch, microbatchSize });
  });

  it('is refused if there are fewer samples than workers', () => {
    expect(() => batchForWorkers({ samples: 9, workers: 10, usualBatch: 16 })).toThrow(
      'expected at most 9 samples in 10 microbatches, got 10',
    );
    expect(() => microbatchSizeFor(9, 10)).toThrow('workers: expected a whole number from 1 to 9, got 10');
  });
});
