/** The steps, batch and optimizer of a run, from the options or else from the data, the model and the workers. */
import { CommandFailure, commandLineNames, parseOptions, usageFailure } from '@lockstep/command';
import { ConfigurationError } from '@lockstep/worker';
import { describe, expect, it, test } from 'vitest';
import { trainOptionsOf } from '../../../apps/coordinator/src/run-options.ts';
import {
  defaultBatch,
  defaultEpochs,
  learningRateScale,
  optimizerDefaults,
  type Recipe,
  recipeDefaults,
  recipeOf,
} from '../src/defaults.ts';
import { runOptions } from '../src/option-table.ts';
import type { TrainOptions } from '../src/options.ts';
import { describeOptimizer } from '../src/prepared.ts';
import { optimizerConfigOf, planOf } from '../src/run-plan.ts';

const geometryOf = (asked: TrainOptions, samples = 60_000, recipe: Recipe = recipeOf('mlp')) => {
  const { batch, microbatchSize, microbatches } = planOf(asked, samples, recipe).plan;
  return [batch, microbatchSize, microbatches];
};

describe('the batch and microbatch of a run', () => {
  it.each<[TrainOptions, geometry: number[]]>([
    [{}, [128, 32, 4]],
    [{ expect: 32 }, [512, 16, 32]],
    [{ batch: 'auto', expect: 32, workers: 2 }, [512, 16, 32]],
    [{ batch: 'auto', workers: 2 }, [128, 32, 4]],
    [{ batch: 256, expect: 32 }, [256, 8, 32]],
    [{ batch: 256, microbatch: 8 }, [256, 8, 32]],
    [{ expect: 32, microbatch: 8 }, [256, 8, 32]],
    [{ microbatch: 24 }, [144, 24, 8]],
  ])('of %j are %j: batch, microbatch size, microbatches', (asked, geometry) => {
    expect(geometryOf(asked)).toEqual(geometry);
  });

  it.each<[TrainOptions, geometry: number[]]>([
    [{}, [12, 3, 4]],
    [{ batch: 20 }, [20, 5, 4]],
    [{ batch: 14 }, [14, 4, 4]],
    [{ batch: 300 }, [300, 64, 8]],
    [{ batch: 1 }, [1, 1, 1]],
    [{ batch: 64 }, [64, 16, 4]],
    [{ batch: 12, expect: 12 }, [12, 1, 16]],
    [{ expect: 30 }, [32, 1, 32]],
    [{ batch: 12, microbatch: 2 }, [12, 2, 8]],
  ])('of sequences are, by %j, %j', (asked, geometry) => {
    expect(geometryOf(asked, 60_000, { ...recipeOf('gpt'), leastMicrobatch: 1 })).toEqual(geometry);
  });

  it.each<[TrainOptions, string]>([
    [
      { batch: 'auto' },
      'batch auto: requires expect, the number of workers to expect, or listen.waitForStart, to count the workers at the start',
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
    ...(['expect', 'microbatch'] as const).map((name): [TrainOptions, string] => [
      { [name]: 4, diloco: true },
      `${name}: cannot be combined with diloco.replicas, because one worker computes each replica`,
    ]),
    [{ batch: 'auto', diloco: true }, 'batch: expected a number with diloco.replicas, got auto'],
  ])('%j are refused', (asked, message) => expect(() => geometryOf(asked, 100)).toThrow(message));
});

describe('the default batch and epochs', () => {
  it.each([
    { samples: 60_000, recipe: 128, batch: 128, epochs: 5, scale: 1 },
    { samples: 60_000, recipe: 64, batch: 64, epochs: 5, scale: 1 },
    { samples: 10_000, recipe: 128, batch: 128, epochs: 7, scale: 1 },
    { samples: 897, recipe: 128, batch: 128, epochs: 63, scale: 1 },
    { samples: 896, recipe: 128, batch: 64, epochs: 36, scale: 1 / 2 },
    { samples: 353, recipe: 128, batch: 32, epochs: 42, scale: 1 / 4 },
    { samples: 120, recipe: 128, batch: 16, epochs: 63, scale: 1 / 8 },
    { samples: 120, recipe: 64, batch: 16, epochs: 63, scale: 1 / 4 },
    { samples: 20, recipe: 128, batch: 16, epochs: 250, scale: 1 / 8 },
    { samples: 5, recipe: 128, batch: 5, epochs: 500, scale: 1 / 8 },
  ])('of $samples samples with a recipe of $recipe are $batch and $epochs', ({ samples, recipe, ...expected }) => {
    const batch = defaultBatch(samples, recipe);
    const epochs = defaultEpochs(Math.ceil(samples / batch));
    expect({ batch, epochs, scale: learningRateScale(batch, recipe) }).toEqual(expected);
  });

  it('have a rate in proportion to a larger batch, up to 8 times, and reach the requested steps', () => {
    expect([256, 1_024, 2_048].map((batch) => learningRateScale(batch, 128))).toEqual([2, 8, 8]);
    expect([defaultEpochs(8, 400), defaultEpochs(469, 200), defaultEpochs(469, 3000)]).toEqual([50, 1, 7]);
    // A text is read once, unless it is short.
    const ofText = [100, 3_000].map((steps) => defaultEpochs(steps, undefined, recipeOf('gpt')));
    expect(ofText).toEqual([20, 1]);
  });
});

/** The optimizer of a command line. */
const of = (args: string, { model = 'mlp', steps = 100 } = {}) => {
  const options = parseOptions(runOptions, args === '' ? [] : args.split(' '));
  try {
    return optimizerConfigOf(trainOptionsOf(options).optimizer, steps, recipeOf(model));
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    throw usageFailure(error.messageWith(commandLineNames(runOptions, options)));
  }
};

describe('the optimizer that options describe', () => {
  test.each([
    ['--optimizer sgd', { type: 'sgd', learningRate: 0.1 }],
    ['--optimizer sgd --momentum 0.5', { type: 'sgd', learningRate: 0.1, momentum: 0.5 }],
    ['--momentum 0.5 --lr 1', { type: 'momentum', learningRate: 1, momentum: 0.5 }],
    ['--optimizer adam', { type: 'adam', learningRate: 0.002, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }],
    ['--optimizer adamw', { type: 'adamw', learningRate: 0.002, weightDecay: 0.01 }],
    ['--optimizer adamw --weight-decay 0', { type: 'adamw', weightDecay: 0 }],
    ['--clip 2', { clipNorm: 2 }],
    ['--schedule cosine', { schedule: { type: 'cosine', steps: 100, minimum: 0 } }],
    ['--schedule cosine --warmup 10', { schedule: { type: 'cosine', steps: 90, warmup: 10, minimum: 0 } }],
    ['--schedule step', { schedule: { type: 'step', every: 34, factor: 0.1 } }],
    ['--nesterov', { type: 'momentum', momentum: 0.9, nesterov: true }],
    ['--optimizer sgd --momentum 0.5 --nesterov', { type: 'sgd', momentum: 0.5, nesterov: true }],
    ['--warmup 10', { schedule: { type: 'constant', warmup: 10 } }],
  ])('%s', (args, expected) => {
    expect(of(args)).toMatchObject(expected);
  });

  test('has no setting that is not asked for', () => {
    expect(of('')).toEqual({ type: 'momentum', learningRate: 0.05, momentum: 0.9 });
  });

  test.each([
    ['--optimizer adam --momentum 0.9', '--momentum: requires --optimizer sgd, momentum or rmsprop, got adam'],
    ...['--optimizer adam', '--optimizer sgd', '--momentum 0'].map((args) => [
      `${args} --nesterov`,
      '--nesterov: requires --optimizer sgd or momentum and a momentum above 0',
    ]),
    ['--warmup 100', '--warmup: expected fewer steps than the 100 of the run, got 100'],
    ['--momentum 1', '--momentum: expected a number from 0 to below 1, got 1'],
    ['--weight-decay -1', '--weight-decay: expected a number of at least 0, got -1'],
    ['--clip 0', '--clip: expected a number above 0, got 0'],
    ['--schedule linear', '--schedule: expected one of constant, step, cosine, got linear'],
  ] as [string, string][])('%s is refused', (args, message) => {
    expect(() => of(args)).toThrow(new CommandFailure(message, 2));
  });

  test('may come from a recipe of the model, which options overrule', () => {
    expect(of('', { model: 'cnn' })).toMatchObject({ schedule: { type: 'cosine', steps: 100 } });
    expect(of('--schedule constant', { model: 'cnn' })).not.toHaveProperty('schedule');
    expect(of('', { model: 'unknown' })).not.toHaveProperty('schedule');
    expect(recipeDefaults('batch')).toBe(
      '128, or 64 for cnn and cnn-large, or 12 for gpt, gpt-nano and other models of text, or 32 for names',
    );
    expect(optimizerDefaults('type', 'momentum')).toBe(
      'momentum, or adamw for gpt, gpt-nano, names and other models of text, or adam for texts of a table',
    );
    expect(recipeOf('own', 'next')).toMatchObject({ ...recipeOf('gpt'), leastMicrobatch: 1 });
    expect(recipeOf('mlp', 'index').optimizer).toEqual({ type: 'adam' });
  });

  test('of a transformer is that of nanoGPT, with a warm-up of at most a tenth of the run', () => {
    const adamw = { type: 'adamw', learningRate: 1e-3, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.1 };
    const schedule = (warmup: number, steps: number) => ({ type: 'cosine', warmup, steps, minimum: 0.1 });
    const gpt = { model: 'gpt', steps: 2_000 };
    expect(of('', gpt)).toEqual({ ...adamw, clipNorm: 1, schedule: schedule(100, 1_900) });
    expect(of('', { ...gpt, steps: 30 })).toMatchObject({ schedule: schedule(3, 27) });
    expect(of('--lr 0.002 --warmup 0', gpt)).toMatchObject({ learningRate: 0.002, beta2: 0.99, clipNorm: 1 });
    expect(of('--optimizer sgd --schedule constant', gpt)).toEqual({ type: 'sgd', learningRate: 0.1 });
  });

  test.each([
    ['', 'momentum, learning rate 0.05'],
    ['--nesterov', 'momentum (Nesterov), learning rate 0.05'],
    ['--warmup 1', 'momentum, learning rate 0.05, 1 step of warm-up'],
    [
      '--optimizer adamw --schedule cosine --warmup 5 --clip 1',
      'adamw, learning rate 0.002, cosine schedule, 5 steps of warm-up, gradients clipped to 1',
    ],
  ])('is described by what differs from the default: %s', (args, text) => {
    expect(describeOptimizer(of(args))).toBe(text);
  });
});
