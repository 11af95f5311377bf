/** Color pictures and value targets, compared with PyTorch (`goldens/make_data_goldens.py`). */

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { classField, type SampleValues, type TargetField, type TargetValues, valueField } from '@lockstep/data';
import type { HostBackend } from '@lockstep/tensor';
import { describe, expect, test } from 'vitest';
import {
  createMicrobatchGradient,
  createOptimizer,
  createShardGradient,
  initialize,
  type Model,
  parameterLayout,
  parseOptimizer,
  resolveModel,
} from '../src/index.ts';
import { backends } from './backends.ts';
import { expectNear, type GradientGolden } from './goldens.ts';
import { uploadInitial } from './training.ts';

interface RunGolden {
  readonly initialSha256: string;
  readonly gradient: GradientGolden;
  readonly training: {
    readonly momentum: number;
    readonly losses: readonly number[];
    readonly parameters: GradientGolden['parameters'];
  };
}

interface DataGoldens extends Readonly<Record<'colorCnn' | 'colorMlp' | 'tableValues', RunGolden>> {
  readonly seed: number;
  readonly batch: number;
  readonly learningRate: number;
  /** The color cnn whose first layer is frozen. */
  readonly frozenCnn: {
    readonly clipNorm: number;
    readonly weightDecay: number;
    readonly losses: readonly number[];
    readonly parameters: GradientGolden['parameters'];
  };
}

const goldens: DataGoldens = JSON.parse(readFileSync(new URL('../goldens/data.json', import.meta.url), 'utf8'));
const { seed, batch, learningRate } = goldens;

/** Same as `words` in the script. */
const word = (position: number): number => Math.imul(position, 2654435761) >>> 0;
const float = (position: number): number => (word(position) >>> 8) / 2 ** 23 - 1;

interface Batch {
  readonly samples: SampleValues;
  readonly targets: TargetValues;
}

function pictures(step: number): Batch {
  const size = batch * 32 * 32 * 3;
  return {
    samples: Uint8Array.from({ length: size }, (_, at) => word(step * size + at) >>> 24),
    targets: Uint16Array.from({ length: batch }, (_, sample) => (sample * 7) % 10),
  };
}

function table(step: number): Batch {
  return {
    samples: Float32Array.from({ length: batch * 4 }, (_, at) => float(step * batch * 4 + at)),
    targets: Float32Array.from({ length: batch * 2 }, (_, at) => float(10 ** 6 + step * batch * 2 + at)),
  };
}

interface Case {
  readonly name: keyof typeof goldens & ('colorCnn' | 'colorMlp' | 'tableValues');
  readonly model: Model;
  readonly batchOf: (step: number) => Batch;
  readonly targetField: TargetField;
}

const color = { sampleShape: [32, 32, 3], outputs: 10 };
const cases: readonly Case[] = [
  { name: 'colorCnn', model: resolveModel('cnn', color), batchOf: pictures, targetField: classField },
  { name: 'colorMlp', model: resolveModel('mlp', color), batchOf: pictures, targetField: classField },
  {
    name: 'tableValues',
    model: resolveModel('mlp', { sampleShape: [4], outputs: 2 }),
    batchOf: table,
    targetField: valueField([2]),
  },
];

test.each(cases)('$name begins with the bits of torch.manual_seed', ({ name, model }) => {
  const bytes = new Uint8Array(initialize(model, seed).buffer);
  expect(createHash('sha256').update(bytes).digest('hex')).toBe(goldens[name].initialSha256);
});

describe.each(backends)('on $name', ({ open }) => {
  const opened: Promise<HostBackend> = open();

  test.each(cases)(
    'the gradient of $name is that of PyTorch within 3e-6',
    async ({ name, model, batchOf, targetField }) => {
      const backend = await opened;
      const parameters = uploadInitial(backend, model, seed);
      const plan = createMicrobatchGradient(backend, model, batch, parameters, { targetField });
      const { samples, targets } = batchOf(0);
      plan.run(samples, targets);
      const result = backend.view(plan.output).slice();
      const { gradient } = goldens[name];
      const size = parameters.length;
      const mean = result.subarray(0, size).map((value) => value / batch);
      expectNear(parameterLayout(model), gradient.parameters, mean, 3e-6);
      expect(Math.abs(result[size]! / batch - gradient.loss)).toBeLessThan(1e-6 * gradient.loss);
      expect(result[size + 1]).toBe(gradient.correct);
      plan.dispose();
    },
  );

  test.each(cases)('20 steps of $name end in the weights of PyTorch', async ({ name, model, batchOf, targetField }) => {
    const backend = await opened;
    const parameters = uploadInitial(backend, model, seed);
    const plan = createMicrobatchGradient(backend, model, batch, parameters, { targetField });
    const { losses, momentum, parameters: expected } = goldens[name].training;
    const optimizer = createOptimizer(backend, { type: 'momentum', learningRate, momentum }, parameters);
    for (const [step, loss] of losses.entries()) {
      const { samples, targets } = batchOf(step);
      plan.run(samples, targets);
      expect(Math.abs(backend.view(plan.output)[parameters.length]! / batch - loss)).toBeLessThan(2e-5 * loss);
      optimizer.step(batch, plan.output);
    }
    expectNear(parameterLayout(model), expected, backend.view(parameters).slice(), 2e-5);
    optimizer.dispose();
    plan.dispose();
  });

  test('10 steps with a frozen layer end in the weights of PyTorch, and the layer keeps its bits', async () => {
    const backend = await opened;
    const model = resolveModel('cnn', color);
    const parameters = uploadInitial(backend, model, seed);
    const initial = backend.view(parameters).slice();
    const layout = parameterLayout(model);
    const { losses, clipNorm, weightDecay, parameters: expected } = goldens.frozenCnn;
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

  test.each(cases)('a shard of $name has the bits of its microbatches', async ({ model, batchOf, targetField }) => {
    const backend = await opened;
    if (!backend.microbatchSums) return;
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
  });
});
