/** A shard of replicas is the tree's sum of them, on any backend and number of threads, and agrees with PyTorch. */
import { readFileSync } from 'node:fs';
import { initialize } from '@lockstep/nn';
import { bytesOf, floatsFrom } from '@lockstep/protocol';
import { type InnerSteps, nextPowerOfTwo, planRun, stepDivisor } from '@lockstep/rules';
import { type HostBackend, openBackend } from '@lockstep/tensor';
import { nodeThreads } from '@lockstep/tensor/node';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { model } from '../../sim/test/support.ts';
import type { ShardGradient } from '../src/compute.ts';
import { createLocalCompute } from '../src/local-compute.ts';
import { ParameterServer } from '../src/parameter-server.ts';
import { addVectors, sumOfTree } from './random-shards.ts';
import { addSum, hostBackend, samplesOf } from './support.ts';

async function opened(backend: HostBackend, microbatchSize: number, innerSteps: InnerSteps) {
  const compute = createLocalCompute(backend, { nowMs: () => 0 });
  await compute.open({ model, microbatchSize, innerSteps });
  compute.setWeights(bytesOf(initialize(model, 3)));
  return compute;
}

const valuesOf = ({ gradient, lossSum, correct }: ShardGradient): Float32Array =>
  Float32Array.from([...floatsFrom(gradient), lossSum, correct]);

const geometry = fc.record({
  count: fc.integer({ min: 1, max: 90 }),
  replicaSize: fc.integer({ min: 1, max: 40 }),
  batch: fc.integer({ min: 1, max: 9 }),
  momentum: fc.constantFrom(0, 0.9),
  seed: fc.nat(),
});

describe.each([
  ['reference', 1],
  ['cpu', 1],
  ['cpu', 2],
  ['cpu', 3],
] as const)('replicas on %s with %i threads', (name, threads) => {
  let backend: HostBackend;
  beforeAll(async () => {
    backend = (await openBackend(name, nodeThreads(threads))).backend as HostBackend;
  });
  afterAll(() => backend.close?.());

  it('are added in the order of the tree, and each begins with the same weights', async () => {
    const oracle = await hostBackend();
    await fc.assert(
      fc.asyncProperty(geometry, async ({ count, replicaSize, batch, momentum, seed }) => {
        const innerSteps = { batch, learningRate: 0.1, momentum };
        const [pixels, labels] = samplesOf(seed, count);
        const alone = await opened(oracle, replicaSize, innerSteps);
        const replicas: Float32Array[] = [];
        for (let from = 0; from < count; from += replicaSize) {
          const to = Math.min(count, from + replicaSize);
          replicas.push(valuesOf(await alone.gradient(pixels.subarray(from * 4, to * 4), labels.subarray(from, to))));
        }
        const root = { lo: 0, n: nextPowerOfTwo(replicas.length) };
        const expected = sumOfTree(root, replicas.length, (index) => replicas[index]!, addVectors);
        const compute = await opened(backend, replicaSize, innerSteps);
        const got = valuesOf(await compute.gradient(pixels, labels));
        expect(got).toEqual(expected);
        await Promise.all([compute.close(), alone.close()]);
      }),
      { numRuns: 25 },
    );
  });
});

it('a replica with one inner step gives its mean gradient times the learning rate', async () => {
  const backend = await hostBackend();
  const [pixels, labels] = samplesOf(7, 8);
  const plain = createLocalCompute(backend, { nowMs: () => 0 });
  await plain.open({ model, microbatchSize: 8 });
  plain.setWeights(bytesOf(initialize(model, 3)));
  const gradient = valuesOf(await plain.gradient(pixels, labels));
  const compute = await opened(backend, 8, { batch: 8, learningRate: 0.5, momentum: 0.9 });
  const taken = valuesOf(await compute.gradient(pixels, labels));
  for (let index = 0; index < taken.length - 2; index++) {
    expect(taken[index]! - (0.5 / 8) * gradient[index]!).toBeCloseTo(0, 6);
  }
  expect(taken.slice(-2)).toEqual(gradient.slice(-2));
});

it('a round takes the mean over replicas that have samples, short ones included', () => {
  const innerSteps = { batch: 4, learningRate: 0.1, momentum: 0 };
  const plan = planRun({ samples: 70, batch: 48, microbatchSize: 12, epochs: 1, innerSteps });
  expect([0, 1].map((step) => stepDivisor(plan, step))).toEqual([4, 2]);
});

interface Golden {
  readonly samples: number[];
  readonly labels: number[];
  readonly innerSteps: InnerSteps;
  readonly replicaSize: number;
  readonly outer: { readonly learningRate: number; readonly momentum: number };
  readonly before: number[];
  /** Weights after each of two rounds over the same samples. */
  readonly after: readonly number[][];
}

it('two rounds give the weights of PyTorch to rounding', async () => {
  const golden = JSON.parse(readFileSync(new URL('./diloco-golden.json', import.meta.url), 'utf8')) as Golden;
  const { innerSteps, replicaSize, outer, after } = golden;
  const backend = await hostBackend();
  const [samples, labels] = [Float32Array.from(golden.samples), Uint16Array.from(golden.labels)];
  const plan = planRun({
    ...{ samples: labels.length, batch: labels.length, epochs: 2 },
    ...{ microbatchSize: replicaSize, innerSteps },
  });
  const optimizer = { type: 'momentum' as const, ...outer, nesterov: true };
  const parameterServer = new ParameterServer({
    ...{ backend, plan, optimizer },
    weights: Float32Array.from(golden.before),
  });
  const compute = await opened(backend, replicaSize, innerSteps);
  for (const [round, expected] of after.entries()) {
    compute.setWeights(parameterServer.weightBytes());
    const { gradient: bytes, lossSum, correct } = await compute.gradient(samples, labels);
    expect(addSum(parameterServer.aggregator, { lo: 0, n: plan.microbatches }, { bytes, lossSum, correct })).toBe(true);
    parameterServer.step(round);
    const weights = parameterServer.weights();
    for (const [index, value] of expected.entries()) expect(Math.abs(weights[index]! - value)).toBeLessThan(2e-6);
  }
});
