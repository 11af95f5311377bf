import { type Compute, type ComputeSetup, createLocalCompute, type ShardGradient } from '@lockstep/compute';
import { classField, valueField } from '@lockstep/data';
import {
  createMicrobatchGradient,
  embeddingOf,
  everyLayer,
  initialize,
  inputSize,
  layers,
  outputCount,
} from '@lockstep/nn';
import { bytesOf, floatsFrom } from '@lockstep/protocol';
import { openBackend } from '@lockstep/tensor';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { testCompute } from '../../compute/test/compute-suite.ts';
import { causalModel, useCausalLayer } from '../../nn/test/causal-layer.ts';
import { createTensorFlowCompute } from '../src/compute.ts';
import { loadTensorFlow } from '../src/load.ts';
import { createTensorFlowGradient } from '../src/microbatch.ts';
import { absence, models, type Samples, samplesFor, small, textModels, titled } from './samples.ts';

const stopped = { nowMs: () => 0 };

async function opened(microbatchSize: number, model = small): Promise<Compute> {
  const compute = await createTensorFlowCompute(stopped);
  await compute.open({ model, microbatchSize });
  compute.setWeights(bytesOf(initialize(model, 3)));
  return compute;
}

const pair = ({ pixels, labels }: Samples): [Uint8Array, Uint16Array] => [pixels, labels];

/** Expects the gradients of 21 samples by TensorFlow and by the engine to be equal except for rounding. */
async function expectAlike(
  setup: Omit<ComputeSetup, 'microbatchSize'>,
  weights: Float32Array,
  ...shard: Parameters<Compute['gradient']>
): Promise<void> {
  const { backend } = await openBackend('reference');
  const results: ShardGradient[] = [];
  for (const compute of [await createTensorFlowCompute(stopped), createLocalCompute(backend, stopped)]) {
    await compute.open({ ...setup, microbatchSize: 8 });
    compute.setWeights(bytesOf(weights));
    results.push(await compute.gradient(...shard));
    await compute.close();
  }
  const [theirs, ours] = results as [ShardGradient, ShardGradient];
  const expected = floatsFrom(ours.gradient);
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  expect(largest).toBeGreaterThan(0.01);
  const got = floatsFrom(theirs.gradient);
  const worst = got.reduce((most, value, index) => Math.max(most, Math.abs(value - expected[index]!)), 0);
  expect(worst / largest).toBeLessThan(3e-6);
  expect(theirs.lossSum / ours.lossSum).toBeCloseTo(1, 5);
  expect(theirs.correct).toBe(ours.correct);
  expect(theirs.count).toBe(21);
}

/** Without the layer that a test adds. */
const layerTypes = Object.keys(layers).sort();

it('the models of these tests have every kind of layer', () => {
  const present = new Set(
    [...models, ...textModels].flatMap((model) => everyLayer(model).map(({ layer }) => layer.type)),
  );
  expect([...present].sort()).toEqual(layerTypes);
});

describe.skipIf(absence !== undefined)(titled('a compute of TensorFlow'), () => {
  testCompute(createTensorFlowCompute, 'weights: expected 43 values, got 1');
});

describe.skipIf(absence !== undefined)(titled('a gradient by TensorFlow'), () => {
  useCausalLayer();

  it.each(models.map((model) => [model.name, model] as const))(
    'equals that of the engine but for rounding: %s',
    async (_, model) => {
      const key = { seed: 7, step: 70_000, firstSample: 123 };
      await expectAlike({ model }, initialize(model, 3), ...pair(samplesFor(model, 21, 5)), { key });
    },
  );

  it('equals that of the engine for values to learn, of floats', async () => {
    const { pixels } = samplesFor(small, 21, 5);
    const samples = Float32Array.from(pixels, (pixel) => pixel / 100 - 1);
    const targets = Float32Array.from({ length: 21 * outputCount(small) }, (_, at) => ((at * 37) % 100) / 50 - 1);
    await expectAlike({ model: small, targetField: valueField([3]) }, initialize(small, 3), samples, targets);
  });

  it.each(
    textModels.flatMap((model) =>
      [false, true].map((lines) => [model.name, lines ? 'lines' : 'text', model, lines] as const),
    ),
  )('equals that of the engine for next tokens: %s, %s', async (_, __, model, lines) => {
    const positions = inputSize(model);
    const { tokens } = embeddingOf(model)!;
    const samples = Uint8Array.from({ length: 21 * (positions + 1) }, (_, at) => ((at * at) % 101) % tokens);
    const targetField = { dtype: 'u8', shape: [0], role: 'next', positions, ...(lines && { lines }) } as const;
    const weights = initialize(model, 3).map((weight) => 5 * weight);
    await expectAlike({ model, targetField }, weights, samples, new Uint8Array());
  });

  it('equals that of the engine for classes with weights', async () => {
    const targetField = { ...classField, classWeights: [0.25, 3, 1] };
    await expectAlike({ model: small, targetField }, initialize(small, 3), ...pair(samplesFor(small, 21, 5)));
  });

  it('equals that of the engine for a layer with constants', async () => {
    const { backend } = await openBackend('reference');
    const { tf } = await loadTensorFlow();
    const weights = initialize(causalModel, 3);
    const values = Float32Array.from({ length: 21 * 12 }, (_, at) => ((at * 37) % 100) / 100 - 0.5);
    const labels = Uint16Array.from({ length: 21 }, (_, at) => at % 3);
    const parameters = backend.allocate(weights.length);
    backend.upload(parameters, weights);
    const ours = createMicrobatchGradient(backend, causalModel, 21, parameters);
    ours.run(values, labels);
    const theirs = createTensorFlowGradient(tf, backend, causalModel, classField);
    const output = backend.allocate(weights.length + 2);
    theirs.setWeights(weights);
    theirs.run(values, labels, { seed: 1, step: 0, firstSample: 0 }, output);
    const expected = backend.view(ours.output);
    expect(Math.max(...backend.view(output).map((value, at) => Math.abs(value - expected[at]!)))).toBeLessThan(1e-4);
    theirs.dispose();
    ours.dispose();
  });

  it('drops other values for other keys', async () => {
    const model = models.find(({ name }) => name.startsWith('dropout'))!;
    const compute = await opened(8, model);
    const samples = samplesFor(model, 16, 5);
    const gradientOf = async (step: number, firstSample: number) =>
      (await compute.gradient(...pair(samples), { key: { seed: 1, step, firstSample } })).gradient;
    const once = await gradientOf(1, 0);
    expect(await gradientOf(1, 0)).toEqual(once);
    expect(await gradientOf(2, 0)).not.toEqual(once);
    expect(await gradientOf(1, 16)).not.toEqual(once);
    await compute.close();
  });

  it('sums its microbatches in the order of the tree: a shard has the bits of the sum of its halves', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(small, models[3]!),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 2 }),
        fc.integer({ min: 1, max: 6 }),
        fc.nat({ max: 1000 }),
        async (model, microbatchesOfHalf, otherMicrobatches, microbatchSize, seed) => {
          const compute = await opened(microbatchSize, model);
          const half = 2 ** Math.ceil(Math.log2(microbatchesOfHalf)) * microbatchSize;
          const count = half + Math.min(half, otherMicrobatches * microbatchSize);
          const { pixels, labels } = samplesFor(model, count, seed);
          const size = pixels.length / count;
          const part = async (from: number, to: number) =>
            floatsFrom(
              (await compute.gradient(pixels.subarray(from * size, to * size), labels.subarray(from, to))).gradient,
            );
          const right = await part(half, count);
          const halves = (await part(0, half)).map((value, index) => Math.fround(value + right[index]!));
          expect(await part(0, count)).toEqual(halves);
          await compute.close();
        },
      ),
      { numRuns: 20 },
    );
  });

  it('keeps no tensors but its weights, and none when it is closed', async () => {
    const { tf } = await loadTensorFlow();
    const before = tf.memory().numTensors;
    const compute = await opened(4);
    const weights = tf.memory().numTensors - before;
    expect(weights).toBe(4);
    for (const seed of [1, 2, 3]) await compute.gradient(...pair(samplesFor(small, 9, seed)));
    compute.setWeights(bytesOf(initialize(small, 4)));
    expect(tf.memory().numTensors - before).toBe(weights);
    await compute.close();
    expect(tf.memory().numTensors).toBe(before);
  });

  it('sets the library as the backend again after another backend was set', async () => {
    const { tf, version } = await loadTensorFlow();
    expect(await tf.setBackend('cpu')).toBe(true);
    expect((await loadTensorFlow()).version).toBe(version);
    expect(tf.getBackend()).toBe('tensorflow');
  });
});
