import { describe, expect, it } from 'vitest';
import { recipeOf } from '../src/defaults.ts';
import type { TrainOptions } from '../src/options.ts';
import { planOf } from '../src/run-plan.ts';

const geometryOf = (asked: TrainOptions, samples = 60_000) => {
  const { batch, microbatchSize, microbatches } = planOf(asked, samples, recipeOf('mlp')).plan;
  return { batch, microbatchSize, microbatches };
};

describe('the batch and microbatch of a run', () => {
  it.each<[TrainOptions, ReturnType<typeof geometryOf>]>([
    [{}, { batch: 128, microbatchSize: 32, microbatches: 4 }],
    [{ expect: 32 }, { batch: 512, microbatchSize: 16, microbatches: 32 }],
    [
      { batch: 'auto', expect: 32, workers: 2 },
      { batch: 512, microbatchSize: 16, microbatches: 32 },
    ],
    [
      { batch: 'auto', workers: 2 },
      { batch: 128, microbatchSize: 32, microbatches: 4 },
    ],
    [
      { batch: 256, expect: 32 },
      { batch: 256, microbatchSize: 8, microbatches: 32 },
    ],
    [
      { batch: 256, microbatch: 8 },
      { batch: 256, microbatchSize: 8, microbatches: 32 },
    ],
    [
      { expect: 32, microbatch: 8 },
      { batch: 256, microbatchSize: 8, microbatches: 32 },
    ],
    [{ microbatch: 24 }, { batch: 144, microbatchSize: 24, microbatches: 8 }],
  ])('of %j is %j', (asked, geometry) => expect(geometryOf(asked)).toEqual(geometry));

  it.each<[TrainOptions, string]>([
    [
      { batch: 'auto' },
      'batch auto: expected with expect, the number of workers to come, or with listen.waitForStart, for those that are there at the start',
    ],
    [{ batch: 101 }, 'batch: expected at most the 100 samples of the training set, got 101'],
    [{ batch: 64, microbatch: 65 }, 'microbatch: expected at most the 64 samples of a step, got 65'],
    [{ batch: 64, microbatch: 24 }, 'microbatch: expected a number that divides the batch of 64, got 24'],
    [
      { expect: 101 },
      "expect: expected at most 100 workers, so that each gets at least one sample of a step's 100, got 101",
    ],
    [
      { batch: 64, microbatch: 16, expect: 5 },
      "expect: expected at most 4 workers, so that each gets at least 16 samples of a step's 64, got 5",
    ],
  ])('%j is refused', (asked, message) => expect(() => geometryOf(asked, 100)).toThrow(message));

  it.each<[TrainOptions, string]>([
    [{ expect: 4 }, 'expect: expected without diloco.replicas, since each replica is computed by one worker'],
    [{ microbatch: 4 }, 'microbatch: expected without diloco.replicas, since each replica is computed by one worker'],
    [{ batch: 'auto' }, 'batch: expected a number with diloco.replicas, got auto'],
  ])('%j is refused with replicas', (asked, message) => {
    expect(() => geometryOf({ ...asked, diloco: true })).toThrow(message);
  });
});
