import { CommandFailure, commandLineNames, parseOptions, usageFailure } from '@lockstep/command';
import { ConfigurationError } from '@lockstep/worker';
import { describe, expect, test } from 'vitest';
import { trainOptionsOf } from '../../../apps/coordinator/src/run-options.ts';
import { defaultsOf, recipeOf } from '../src/defaults.ts';
import { describeOptimizer, optimizerOf } from '../src/optimizer.ts';
import { runOptions } from '../src/option-table.ts';

const of = (args: string, { model = 'mlp', steps = 100 } = {}) => {
  const options = parseOptions(runOptions, args === '' ? [] : args.split(' '));
  try {
    return optimizerOf(trainOptionsOf(options).optimizer, steps, recipeOf(model));
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    throw usageFailure(error.messageWith(commandLineNames(runOptions, options)));
  }
};

describe('the optimizer that options describe', () => {
  test('is momentum by default', () => {
    expect(of('')).toEqual({ type: 'momentum', learningRate: 0.05, momentum: 0.9 });
    expect(describeOptimizer(of(''))).toBe('momentum, learning rate 0.05');
  });

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

  test.each([
    ['--optimizer adam --momentum 0.9', '--momentum: expected with --optimizer sgd, momentum or rmsprop, got adam'],
    ['--optimizer adam --nesterov', '--nesterov: expected with --optimizer sgd or momentum and a momentum above 0'],
    ['--optimizer sgd --nesterov', '--nesterov: expected with --optimizer sgd or momentum and a momentum above 0'],
    ['--momentum 0 --nesterov', '--nesterov: expected with --optimizer sgd or momentum and a momentum above 0'],
    ['--warmup 100', '--warmup: expected fewer steps than the 100 of the run, got 100'],
    ['--momentum 1', '--momentum: expected a number from 0 to below 1, got 1'],
    ['--weight-decay -1', '--weight-decay: expected a number of at least 0, got -1'],
    ['--clip 0', '--clip: expected a number above 0, got 0'],
    ['--schedule linear', '--schedule: expected one of constant, step, cosine, got linear'],
  ])('%s is refused', (args, message) => {
    expect(() => of(args)).toThrow(new CommandFailure(message, 2));
  });

  test('a model may have a recipe of its own, which options overrule', () => {
    expect(of('', { model: 'cnn' })).toMatchObject({ schedule: { type: 'cosine', steps: 100 } });
    expect(of('--schedule constant', { model: 'cnn' })).not.toHaveProperty('schedule');
    expect(of('', { model: 'unknown' })).not.toHaveProperty('schedule');
    expect(defaultsOf('batch')).toBe('128, or 64 for cnn');
  });

  test('is described by what differs from the default', () => {
    expect(describeOptimizer(of('--optimizer adamw --schedule cosine --warmup 5 --clip 1'))).toBe(
      'adamw, learning rate 0.002, cosine schedule, 5 steps of warm-up, gradients clipped to 1',
    );
    expect(describeOptimizer(of('--nesterov'))).toBe('momentum (Nesterov), learning rate 0.05');
  });
});
