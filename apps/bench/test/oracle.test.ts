/** The double-precision reference against finite differences, and the checks that compare candidates with it. */
import { randomStream } from '@lockstep/tensor';
import { describe, expect, test } from 'vitest';
import {
  cutBatches,
  gradientCheck,
  type MnistStep,
  oneHotLabels,
  trainingCase,
  withoutZeros,
} from '../src/workloads/mnist-step.ts';
import { cnnNet, joinParameters, mlpNet, mnist, type Net, splitParameters } from '../src/workloads/net.ts';
import { type Batch, meanLoss, trainOracle } from '../src/workloads/oracle.ts';
import { randomBatch } from './random-batch.ts';

const random = randomStream(7);
const batchOf = (samples: number): Batch => randomBatch(random, samples);

function sizeOf(net: Net): number {
  return net.shapes.reduce((sum, shape) => sum + shape.reduce((size, length) => size * length, 1), 0);
}

function initialOf(net: Net, scale: number, seed: number): Float32Array {
  const values = randomStream(seed);
  return Float32Array.from({ length: sizeOf(net) }, () => (values() - 0.5) * scale);
}

const initial = initialOf(mlpNet, 0.1, 1);
const cnnInitial = initialOf(cnnNet, 0.25, 3);
// Biases that keep every channel alive, so that each parameter has a slope to compare.
for (const bias of [1, 3].map((index) => splitParameters(cnnNet, cnnInitial)[index]!)) bias.fill(0.3);

/** Central difference of the mean loss in one parameter. */
function slopeOf(net: Net, parameters: Float32Array, batch: Batch, index: number, half: number): number {
  const lossAt = (shift: number): number => {
    const shifted = Float64Array.from(parameters);
    shifted[index]! += shift;
    return meanLoss(net, shifted, batch);
  };
  return (lossAt(half) - lossAt(-half)) / (2 * half);
}

test('784-128-10 steps down the gradient of the mean loss, by central differences', () => {
  const batch = batchOf(6);
  const stepped = trainOracle(mlpNet, initial, [batch], 1, 1);
  const lit = batch.pixels.findIndex((pixel) => pixel > 0) % mnist.pixels;
  const [weight1, bias1, weight2, bias2] = [0, 100_352, 100_480, 101_760];
  const chosen = [
    ...[3, 64, 127].map((unit) => weight1! + lit * 128 + unit),
    ...[0, 77].map((unit) => bias1! + unit),
    ...[5, 1279].map((index) => weight2! + index),
    ...[0, 9].map((index) => bias2! + index),
  ];
  for (const index of chosen) {
    expect(initial[index]! - stepped[index]!).toBeCloseTo(slopeOf(mlpNet, initial, batch, index, 1e-4), 7);
  }
});

test('the convolutional net steps down the gradient of the mean loss, by central differences in every parameter', () => {
  // Half of the pixels are lit, so that every kernel has a slope.
  const pixels = Uint8Array.from({ length: 3 * 784 }, () => Math.max(0, random() * 512 - 256));
  const batch: Batch = { pixels, labels: Uint8Array.of(3, 0, 9) };
  const stepped = trainOracle(cnnNet, cnnInitial, [batch], 1, 1);
  let start = 0;
  for (const { length } of splitParameters(cnnNet, cnnInitial)) {
    for (const place of [0, Math.floor(length * 0.4), length - 1]) {
      const index = start + place;
      // So small that no window's maximum moves to another pixel within the interval.
      const slope = slopeOf(cnnNet, cnnInitial, batch, index, 1e-6);
      expect(slope).not.toBe(0);
      expect(cnnInitial[index]! - stepped[index]!).toBeCloseTo(slope, 6);
    }
    start += length;
  }
});

test('where all values of a window tie one of them gets the gradient, and where ReLU closed it none', () => {
  // A black image: every sum of the first convolution is its bias.
  const black: Batch = { pixels: new Uint8Array(784), labels: Uint8Array.of(4) };
  const slope = slopeOf(cnnNet, cnnInitial, black, 200, 1e-6);
  expect(slope).not.toBe(0);
  expect(cnnInitial[200]! - trainOracle(cnnNet, cnnInitial, [black], 1, 1)[200]!).toBeCloseTo(slope, 6);
  const closed = cnnInitial.slice();
  closed.fill(-1, 200, 208);
  expect([...trainOracle(cnnNet, closed, [black], 1, 1).subarray(0, 208)]).toEqual([...closed.subarray(0, 208)]);
});

test.each([
  [mlpNet, 101_770],
  [cnnNet, 11_274],
])('$name has as many parameters as the built-in model, and loses ln 10 when they are 0', (net, count) => {
  expect(sizeOf(net)).toBe(count);
  expect(meanLoss(net, new Float32Array(count), batchOf(5))).toBeCloseTo(Math.log(10), 12);
});

test('batches are taken in turn, the first again after the last', () => {
  const [first, second] = [batchOf(4), batchOf(4)];
  const train = (batches: readonly Batch[]) => trainOracle(mlpNet, initial, batches, 0.1, 3);
  expect(train([first, second])).toEqual(train([first, second, first]));
});

describe('checks', () => {
  const work: MnistStep = { net: mlpNet, batchSize: 4, learningRate: 0.1, batches: [batchOf(4), batchOf(4)], initial };

  test('of weights accept the reference, and neither untrained nor slightly wrong nor cut weights', () => {
    const check = trainingCase('training', work, 3, []).check;
    const trained = (rate: number) => Float32Array.from(trainOracle(mlpNet, initial, work.batches, rate, 3));
    const right = trained(work.learningRate);
    expect(check(right).distance).toBeLessThan(1e-5);
    expect(check(right).figure).toBeCloseTo(meanLoss(mlpNet, right, work.batches[0]!), 12);
    expect(check(initial).distance).toBeCloseTo(1, 5);
    expect(check(trained(work.learningRate * 1.001)).distance).toBeGreaterThan(5e-4);
    expect(check(right.subarray(1)).distance).toBe(Number.POSITIVE_INFINITY);
  });

  test('of gradients want that of the last batch, neither its sum over samples nor that of another batch', () => {
    const gradientOf = (batch: Batch): Float32Array =>
      Float32Array.from(trainOracle(mlpNet, initial, [batch], 1, 1), (weight, index) => initial[index]! - weight);
    const [first, last] = work.batches.map(gradientOf);
    const check = gradientCheck(work, 4);
    expect(check(last!).distance).toBeLessThan(1e-6);
    expect(check(first!).distance).toBeGreaterThan(0.1);
    expect(check(last!.map((value) => value * 4)).distance).toBeCloseTo(3, 5);
  });
});

test('parameters split and join in model order, labels become rows, and batches are consecutive', () => {
  const parts = splitParameters(mlpNet, initial);
  expect(parts.map(({ length }) => length)).toEqual([100_352, 128, 1280, 10]);
  expect(joinParameters(parts)).toEqual(initial);
  expect(oneHotLabels({ pixels: new Uint8Array(), labels: Uint8Array.of(2, 0) })).toEqual(
    Float32Array.of(0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0),
  );
  const images = Uint8Array.from({ length: 5 * mnist.pixels }, (_, index) => Math.floor(index / mnist.pixels));
  const labeled = (...labels: number[]) => {
    const targets = { type: 'classes', labels: Uint16Array.from(labels), names: [...'0123456789'] } as const;
    return { samples: images, targets };
  };
  const batches = cutBatches(labeled(9, 8, 7, 6, 5), 2, 2);
  expect(batches.map(({ labels }) => [...labels])).toEqual([
    [9, 8],
    [7, 6],
  ]);
  expect(batches[1]!.pixels[0]).toBe(2);
  expect(() => cutBatches(labeled(1, 2, 3), 2, 2)).toThrow('needs 4 images, got 3');
});

test('images without zeros keep every other pixel and all labels', () => {
  const [batch] = withoutZeros([{ pixels: Uint8Array.of(0, 1, 2, 255), labels: Uint8Array.of(7) }]);
  expect(batch).toEqual({ pixels: Uint8Array.of(1, 1, 2, 255), labels: Uint8Array.of(7) });
});
