import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { batchForWorkers, microbatchSizeFor, planRun, usedMicrobatches } from '../src/plan.ts';
import { nextPowerOfTwo } from '../src/tree.ts';

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

  it('has a power of two of microbatches and no more samples than that takes, where the data have enough', () => {
    fc.assert(
      fc.property(workers, usualBatch, (count, usual) => {
        const samples = 8 * 16 * nextPowerOfTwo(count) + usual;
        const { batch, microbatchSize } = batchForWorkers({ samples, workers: count, usualBatch: usual });
        expect(isPowerOfTwo(batch / microbatchSize)).toBe(true);
        expect(batch).toBe(Math.max(usual, 16 * nextPowerOfTwo(count)));
      }),
    );
  });

  it.each([
    [
      { samples: 60_000, workers: 2, usualBatch: 128 },
      { batch: 128, microbatchSize: 32 },
    ],
    [
      { samples: 60_000, workers: 8, usualBatch: 128 },
      { batch: 128, microbatchSize: 16 },
    ],
    [
      { samples: 60_000, workers: 32, usualBatch: 128 },
      { batch: 512, microbatchSize: 16 },
    ],
    [
      { samples: 60_000, workers: 33, usualBatch: 128 },
      { batch: 1024, microbatchSize: 16 },
    ],
    [
      { samples: 120, workers: 30, usualBatch: 16 },
      { batch: 32, microbatchSize: 1 },
    ],
    [
      { samples: 30, workers: 30, usualBatch: 16 },
      { batch: 30, microbatchSize: 1 },
    ],
    [
      { samples: 60_000, workers: 32, usualBatch: 128, microbatchSize: 10 },
      { batch: 320, microbatchSize: 10 },
    ],
  ])('%j', (options, expected) => expect(batchForWorkers(options)).toEqual(expected));

  it('is refused where the samples do not go round', () => {
    expect(() => batchForWorkers({ samples: 9, workers: 10, usualBatch: 16 })).toThrow(
      'expected at most 9 samples in 10 microbatches, got 10',
    );
    expect(() => microbatchSizeFor(9, 10)).toThrow('workers: expected a whole number from 1 to 9, got 10');
  });
});
