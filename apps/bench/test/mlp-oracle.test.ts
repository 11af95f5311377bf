/** The truth that contenders are held against, held against finite differences itself. */
import { expect, test } from 'vitest';
import { type Batch, meanLoss, mlp, offsets, trainMlp } from '../src/work/mlp-oracle.ts';
import {
  cutBatches,
  gradientJudge,
  type MnistStep,
  oneHotLabels,
  weightsJudge,
  withoutZeros,
} from '../src/work/mnist-step.ts';
import { joinParameters, mlpNet, splitParameters } from '../src/work/net.ts';

/** Whole numbers of 0..2^32 from a linear congruential generator, so that every run sees the same. */
function* numbers(): Generator<number, never> {
  let state = 7;
  for (;;) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    yield state;
  }
}

const source = numbers();
const initial = Float32Array.from({ length: offsets.end }, () => (source.next().value / 2 ** 32 - 0.5) / 10);

function batchOf(samples: number): Batch {
  return {
    // Most pixels of MNIST are 0, and the oracle takes a short cut for these.
    pixels: Uint8Array.from({ length: samples * mlp.inputs }, () => Math.max(0, (source.next().value >>> 24) - 180)),
    labels: Uint8Array.from({ length: samples }, () => (source.next().value >>> 8) % mlp.classes),
  };
}

test('a step goes down the gradient of the mean loss, by central differences', () => {
  const batch = batchOf(6);
  const stepped = trainMlp(initial, [batch], 1, 1);
  const lit = batch.pixels.findIndex((pixel) => pixel > 0) % mlp.inputs;
  const chosen = [
    ...[3, 64, 127].map((unit) => offsets.weight1 + lit * mlp.hidden + unit),
    ...[0, 77].map((unit) => offsets.bias1 + unit),
    ...[5, 1279].map((index) => offsets.weight2 + index),
    ...[0, 9].map((index) => offsets.bias2 + index),
  ];
  const half = 1e-4;
  const lossAt = (index: number, shift: number): number => {
    const shifted = Float64Array.from(initial);
    shifted[index]! += shift;
    return meanLoss(shifted, batch);
  };
  for (const index of chosen) {
    const slope = (lossAt(index, half) - lossAt(index, -half)) / (2 * half);
    expect(initial[index]! - stepped[index]!).toBeCloseTo(slope, 7);
  }
});

test('the loss of weights that know nothing is ln 10', () => {
  expect(meanLoss(new Float32Array(offsets.end), batchOf(5))).toBeCloseTo(Math.log(10), 12);
});

test('batches are taken in turn, the first again after the last', () => {
  const [first, second] = [batchOf(4), batchOf(4)];
  expect(trainMlp(initial, [first, second], 0.1, 3)).toEqual(trainMlp(initial, [first, second, first], 0.1, 3));
});

test('the judge accepts the true weights, and neither untrained nor slightly wrong nor cut ones', () => {
  const work: MnistStep = { net: mlpNet, batchSize: 4, learningRate: 0.1, batches: [batchOf(4), batchOf(4)], initial };
  const judge = weightsJudge(work, 3);
  const truth = Float32Array.from(trainMlp(initial, work.batches, work.learningRate, 3));
  expect(judge(truth).distance).toBeLessThan(1e-5);
  expect(judge(truth).figure).toBeCloseTo(meanLoss(truth, work.batches[0]!), 12);
  expect(judge(initial).distance).toBeCloseTo(1, 5);
  const wrongRate = Float32Array.from(trainMlp(initial, work.batches, work.learningRate * 1.001, 3));
  expect(judge(wrongRate).distance).toBeGreaterThan(5e-4);
  expect(judge(truth.subarray(1)).distance).toBe(Number.POSITIVE_INFINITY);
});

test('parameters split and join in model order, labels become rows, and batches are consecutive', () => {
  const parts = splitParameters(mlpNet, initial);
  expect(parts.map(({ length }) => length)).toEqual([100_352, 128, 1280, 10]);
  expect(joinParameters(parts)).toEqual(initial);
  expect(oneHotLabels({ pixels: new Uint8Array(), labels: Uint8Array.of(2, 0) })).toEqual(
    Float32Array.of(0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0),
  );
  const images = Uint8Array.from({ length: 5 * mlp.inputs }, (_, index) => Math.floor(index / mlp.inputs));
  const batches = cutBatches(images, Uint8Array.of(9, 8, 7, 6, 5), 2, 2);
  expect(batches.map(({ labels }) => [...labels])).toEqual([
    [9, 8],
    [7, 6],
  ]);
  expect(batches[1]!.pixels[0]).toBe(2);
  expect(() => cutBatches(images, Uint8Array.of(1, 2, 3), 2, 2)).toThrow('needs 4 images, got 3');
});

test('the judge of gradients wants that of the last batch, neither its sum over samples nor that of another batch', () => {
  const batches = [batchOf(4), batchOf(4)];
  const work: MnistStep = { net: mlpNet, batchSize: 4, learningRate: 0, batches, initial };
  const gradientOf = (batch: Batch): Float32Array =>
    Float32Array.from(trainMlp(initial, [batch], 1, 1), (weight, index) => initial[index]! - weight);
  const judge = gradientJudge(work, 4);
  expect(judge(gradientOf(batches[1]!)).distance).toBeLessThan(1e-6);
  expect(judge(gradientOf(batches[0]!)).distance).toBeGreaterThan(0.1);
  expect(judge(gradientOf(batches[1]!).map((value) => value * 4)).distance).toBeCloseTo(3, 5);
});

test('images without zeros keep every other pixel and all labels', () => {
  const [batch] = withoutZeros([{ pixels: Uint8Array.of(0, 1, 2, 255), labels: Uint8Array.of(7) }]);
  expect(batch).toEqual({ pixels: Uint8Array.of(1, 1, 2, 255), labels: Uint8Array.of(7) });
});
