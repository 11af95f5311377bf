/** Built-in models on digits, color pictures and tables, compared with PyTorch (`goldens/make_goldens.py`). */
import { classField, type SampleValues, type TargetField, type TargetValues, valueField } from '@lockstep/data';
import { openBackend } from '@lockstep/tensor';
import { expect, test } from 'vitest';
import {
  createMicrobatchGradient,
  createOptimizer,
  createShardGradient,
  type Model,
  type OptimizerConfig,
  parameterLayout,
  parseOptimizer,
  resolveModel,
} from '../src/index.ts';
import { uploadInitial } from './backends.ts';
import { expectNear, goldens, mnistBatch } from './goldens.ts';

const { seed, runs, frozenCnn } = goldens;

/** Same as `words` in the script. */
const word = (position: number): number => Math.imul(position, 2654435761) >>> 0;
const float = (position: number): number => (word(position) >>> 8) / 2 ** 23 - 1;

export interface Batch {
  readonly samples: SampleValues;
  readonly targets: TargetValues;
}

function digits(step: number): Batch {
  const { pixels, labels } = mnistBatch(step);
  return { samples: pixels, targets: labels };
}

function pictures(step: number): Batch {
  const { batch } = runs.colorCnn;
  const size = batch * 32 * 32 * 3;
  return {
    samples: Uint8Array.from({ length: size }, (_, at) => word(step * size + at) >>> 24),
    targets: Uint16Array.from({ length: batch }, (_, sample) => (sample * 7) % 10),
  };
}

function table(step: number): Batch {
  const { batch } = runs.tableValues;
  return {
    samples: Float32Array.from({ length: batch * 4 }, (_, at) => float(step * batch * 4 + at)),
    targets: Float32Array.from({ length: batch * 2 }, (_, at) => float(10 ** 6 + step * batch * 2 + at)),
  };
}

export interface Case {
  readonly name: keyof typeof runs;
  readonly model: Model;
  readonly batchOf: (step: number) => Batch;
  readonly targetField: TargetField;
  /** Relative differences of the first gradient, of the loss of each step, and of the last weights. */
  readonly gradientNear: number;
  readonly lossNear: (step: number) => number;
  readonly weightsNear: number;
  /** Steps on the reference, by default all. */
  readonly referenceSteps?: number;
}

const color = { sampleShape: [32, 32, 3], outputs: 10 };
const classes = { targetField: classField, gradientNear: 3e-6, lossNear: () => 2e-5, weightsNear: 2e-5 };
const digitCases: readonly Case[] = [
  {
    ...{ name: 'mlp', model: resolveModel('mlp'), batchOf: digits, targetField: classField },
    ...{ gradientNear: 1e-6, lossNear: () => 1e-6, weightsNear: 1e-6 },
  },
  {
    ...{ name: 'cnn', model: resolveModel('cnn'), batchOf: digits, targetField: classField },
    // If two values of a pooling window are nearly equal, rounding decides which one gets the gradient, so differences
    // grow faster than in the mlp.
    ...{ gradientNear: 2e-6, lossNear: (step) => (step < 5 ? 1e-5 : 2e-3), weightsNear: 1e-2, referenceSteps: 2 },
  },
];
const otherCases: readonly Case[] = [
  { name: 'colorCnn', model: resolveModel('cnn', color), batchOf: pictures, ...classes },
  { name: 'colorMlp', model: resolveModel('mlp', color), batchOf: pictures, ...classes },
  {
    ...{ name: 'tableValues', model: resolveModel('mlp', { sampleShape: [4], outputs: 2 }), batchOf: table },
    ...{ ...classes, targetField: valueField([2]) },
  },
];
export const cases = [...digitCases, ...otherCases];

/** Declares the comparisons on a backend. */
export function describeGoldenRuns(backendName: 'cpu' | 'reference'): void {
  const opened = openBackend(backendName).then(({ backend }) => backend);

  test.each(cases)(
    'the gradient of $name is that of PyTorch within $gradientNear',
    async ({ name, model, batchOf, targetField, gradientNear }) => {
      const backend = await opened;
      const { batch, gradient } = runs[name];
      const parameters = uploadInitial(backend, model, seed);
      const plan = createMicrobatchGradient(backend, model, batch, parameters, { targetField });
      const { samples, targets } = batchOf(0);
      plan.run(samples, targets);
      const result = backend.view(plan.output).slice();
      const size = parameters.length;
      expect(result.length).toBe(size + 2);
      const mean = result.subarray(0, size).map((value) => value / batch);
      expectNear(parameterLayout(model), gradient.parameters, mean, gradientNear);
      expect(Math.abs(result[size]! / batch - gradient.loss)).toBeLessThan(1e-6 * gradient.loss);
      expect(result[size + 1]).toBe(gradient.correct);
      plan.dispose();
    },
  );

  test.each(cases.flatMap((one) => runs[one.name].training.map((training) => ({ ...one, ...training }))))(
    '20 steps of $name with momentum $momentum end in the weights of PyTorch within $weightsNear',
    async ({ name, model, batchOf, targetField, lossNear, weightsNear, referenceSteps, ...training }) => {
      const backend = await opened;
      const { batch, learningRate } = runs[name];
      const { momentum, losses } = training;
      const parameters = uploadInitial(backend, model, seed);
      const plan = createMicrobatchGradient(backend, model, batch, parameters, { targetField });
      const config: OptimizerConfig =
        momentum === 0 ? { type: 'sgd', learningRate } : { type: 'momentum', learningRate, momentum };
      const optimizer = createOptimizer(backend, config, parameters);
      const expected = losses.slice(0, backendName === 'reference' ? referenceSteps : undefined);
      for (const [step, loss] of expected.entries()) {
        const { samples, targets } = batchOf(step);
        plan.run(samples, targets);
        const difference = Math.abs(backend.view(plan.output)[parameters.length]! / batch - loss);
        expect(difference, `loss of step ${step}`).toBeLessThan(lossNear(step) * loss);
        optimizer.step(batch, plan.output);
      }
      if (expected.length === losses.length) {
        expectNear(parameterLayout(model), training.parameters, backend.view(parameters).slice(), weightsNear);
      }
      optimizer.dispose();
      plan.dispose();
    },
  );

  test('10 steps with a frozen layer end in the weights of PyTorch, and the layer keeps its bits', async () => {
    const backend = await opened;
    const model = resolveModel('cnn', color);
    const { batch, learningRate } = runs.colorCnn;
    const parameters = uploadInitial(backend, model, seed);
    const initial = backend.view(parameters).slice();
    const layout = parameterLayout(model);
    const { losses, clipNorm, weightDecay, parameters: expected } = frozenCnn;
    const config = { ...parseOptimizer({ type: 'adamw', learningRate, weightDecay }), clipNorm };
    const frozen = layout[2]!.offset;
    const plan = createMicrobatchGradient(backend, model, batch, parameters);
    const optimizer = createOptimizer(backend, config, parameters, layout, frozen);
    for (const [step, loss] of losses.entries()) {
      const { samples, targets } = pictures(step);
      plan.run(samples, targets);
      expect(Math.abs(backend.view(plan.output)[parameters.length]! / batch - loss)).toBeLessThan(2e-5 * loss);
      optimizer.step(batch, plan.output);
    }
    const weights = backend.view(parameters).slice();
    expect(weights.subarray(0, frozen)).toEqual(initial.subarray(0, frozen));
    expectNear(layout, expected, weights, 2e-5);
    optimizer.dispose();
    plan.dispose();
  });

  test.each(otherCases)(
    'a shard of $name has the bits of its microbatches',
    async ({ name, model, batchOf, targetField }) => {
      const backend = await opened;
      if (!backend.microbatchSums) return;
      const { batch } = runs[name];
      const parameters = uploadInitial(backend, model, seed);
      const { samples, targets } = batchOf(0);
      const [size, perTarget] = [samples.length / batch, targets.length / batch];
      const [microbatches, microbatchSize] = [4, batch / 4];
      const shard = createShardGradient(backend, model, { microbatches, microbatchSize }, parameters, { targetField });
      shard.run(samples, targets);
      const got = backend.view(shard.output).slice();
      const one = createMicrobatchGradient(backend, model, microbatchSize, parameters, { targetField });
      const sums = Array.from({ length: microbatches }, (_, index) => {
        const [from, to] = [index * microbatchSize, (index + 1) * microbatchSize];
        one.run(samples.subarray(from * size, to * size), targets.subarray(from * perTarget, to * perTarget));
        return backend.view(one.output).slice();
      });
      const add = (left: Float32Array, right: Float32Array) => left.map((value, at) => value + right[at]!);
      expect(got).toEqual(add(add(sums[0]!, sums[1]!), add(sums[2]!, sums[3]!)));
    },
  );
}
