/** Work on MNIST: batches, the checks of candidates, and files for runs. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { classTargets, samplesOf, sizeOfField } from '@lockstep/data';
import { loadMnist } from '@lockstep/data/node';
import { initialize } from '@lockstep/nn';
import { openBackend, randomStream } from '@lockstep/tensor';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tinyFiles, writeFolder } from '../../../packages/train/test/tiny-data.ts';
import { cutBatches, gradientDistance, trained, trainingCase, withoutZeros } from '../src/cases/steps.ts';
import { writeMnistFiles } from '../src/compare/grid.ts';
import { stepCandidates } from '../src/peers/index.ts';
import {
  type Batch,
  cnnNet,
  joinParameters,
  mlpNet,
  mnist,
  oneHotLabels,
  splitParameters,
  type TrainingStep,
} from '../src/work.ts';
import { randomBatch } from './random-batch.ts';

const random = randomStream(7);
const batchOf = (samples: number): Batch => randomBatch(random, samples);
const initial = initialize(mlpNet.model, 1);
const { backend } = await openBackend('cpu');

describe('checks', () => {
  const work: TrainingStep = {
    net: mlpNet,
    batchSize: 4,
    learningRate: 0.1,
    batches: [batchOf(4), batchOf(4)],
    initial,
  };

  test('of weights accept the reference, and neither untrained nor slightly wrong nor cut weights', async () => {
    const { distance } = await trainingCase('training', work, 3, []);
    const right = trained(backend, work, 3);
    expect(distance(right)).toBeLessThan(1e-5);
    expect(distance(initial)).toBeCloseTo(1, 5);
    expect(distance(trained(backend, { ...work, learningRate: work.learningRate * 1.001 }, 3))).toBeGreaterThan(5e-4);
    expect(distance(trained(backend, { ...work, batches: work.batches.toReversed() }, 3))).toBeGreaterThan(1e-3);
    expect(distance(right.subarray(1))).toBe(Number.POSITIVE_INFINITY);
  });

  test('of gradients want that of their batch, neither its sum over samples nor that of another batch', async () => {
    const [first, last] = work.batches.map((batch) => {
      const stepped = trained(backend, { ...work, learningRate: 1, batches: [batch] }, 1);
      return initial.map((weight, index) => weight - stepped[index]!);
    });
    const distance = await gradientDistance(work, work.batches[1]!);
    expect(distance(last!)).toBeLessThan(1e-5);
    expect(distance(first!)).toBeGreaterThan(0.1);
    expect(distance(last!.map((value) => value * 4))).toBeCloseTo(3, 4);
  });
});

test.each([
  ['bench', mlpNet, /^lockstep cpu, TensorFlow.js wasm, TensorFlow.js node, jax-js wasm, PyTorch CPU$/],
  [
    'bench',
    cnnNet,
    /^lockstep cpu, TensorFlow.js wasm, TensorFlow.js cpu, TensorFlow.js node, jax-js wasm, PyTorch CPU$/,
  ],
  [
    'compare',
    cnnNet,
    /^TensorFlow.js wasm, TensorFlow.js node, jax-js wasm, PyTorch, 1 thread(, PyTorch, \d+ threads)?, PyTorch DDP, 2 processes$/,
  ],
] as const)('a step in %s has one row for each peer, in the same order', (program, net, expected) => {
  const work = { net, batchSize: 1, learningRate: 1, batches: [], initial };
  const names = stepCandidates(program, work).map(({ name }) => name);
  expect(names.join(', ')).toMatch(expected);
});

test('parameters split and join in model order, labels become rows, and batches are consecutive', () => {
  const parts = splitParameters(mlpNet, initial);
  expect(parts.map(({ length }) => length)).toEqual([100_352, 128, 1280, 10]);
  expect(joinParameters(parts)).toEqual(initial);
  expect(oneHotLabels(Uint16Array.of(2, 0), 10)).toEqual(
    Float32Array.of(0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0),
  );
  const images = Uint8Array.from({ length: 5 * mnist.pixels }, (_, index) => Math.floor(index / mnist.pixels));
  const labeled = (...labels: number[]) => {
    const targets = classTargets(Uint16Array.from(labels), [...'0123456789']);
    return { samples: samplesOf(images, [28, 28, 1]), targets };
  };
  const batches = cutBatches(labeled(9, 8, 7, 6, 5), 2, 2);
  expect(batches.map(({ labels }) => [...labels])).toEqual([
    [9, 8],
    [7, 6],
  ]);
  expect(batches[1]!.samples[0]).toBe(2);
  expect(() => cutBatches(labeled(1, 2, 3), 2, 2)).toThrow('needs 4 images, got 3');
});

test('images without zeros keep every other pixel and all labels', () => {
  const [batch] = withoutZeros([{ samples: Uint8Array.of(0, 1, 2, 255), labels: Uint16Array.of(7) }]);
  expect(batch).toEqual({ samples: Uint8Array.of(1, 1, 2, 255), labels: Uint16Array.of(7) });
});

let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-mnist-files-'));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

test('they are read back as the first samples', async () => {
  const { train } = await loadMnist(await writeFolder(folder, 'tiny', tinyFiles()));
  await writeMnistFiles(train, { trainCount: 40, testCount: 7 }, folder);
  const read = await loadMnist(folder);
  const size = sizeOfField(train.samples);
  for (const [part, count] of [
    [read.train, 40],
    [read.test, 7],
  ] as const) {
    expect(part.count).toBe(count);
    expect(part.samples.shape).toEqual(train.samples.shape);
    expect(part.samples.values).toEqual(train.samples.values.subarray(0, count * size));
    expect(part.targets.values).toEqual(train.targets.values.subarray(0, count));
  }
});
