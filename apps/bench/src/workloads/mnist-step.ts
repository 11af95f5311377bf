/** The work of a training step: MNIST batches, initial weights, and the check of a result against the reference. */
import { type Dataset, targetValues } from '@lockstep/data';
import type { Case, Check } from '../benchmark.ts';
import { norm, relativeDistance } from '../statistics.ts';
import { mnist, type Net } from './net.ts';
import { type Batch, meanGradient, meanLoss, trainOracle } from './oracle.ts';

/** One size of the work; a candidate steps through `batches` in turn and wraps around. */
export interface MnistStep {
  readonly net: Net;
  readonly batchSize: number;
  readonly learningRate: number;
  readonly batches: readonly Batch[];
  /** Initial parameters in one vector, in the net's layout. */
  readonly initial: Float32Array;
}

/** Cuts the first `batchSize * count` images of a data set into batches. */
export function cutBatches(
  { samples, targets }: Pick<Dataset, 'samples' | 'targets'>,
  batchSize: number,
  count: number,
) {
  const labels = targetValues(targets);
  if (labels.length < batchSize * count) {
    throw new RangeError(`the benchmark needs ${batchSize * count} images, got ${labels.length}`);
  }
  return Array.from({ length: count }, (_, index): Batch => {
    const [from, to] = [index * batchSize, (index + 1) * batchSize];
    const pixels = Uint8Array.from(samples.subarray(from * mnist.pixels, to * mnist.pixels));
    return { pixels, labels: Uint8Array.from(labels.subarray(from, to)) };
  });
}

/** The same images without zeros: every black pixel becomes the darkest gray, 1 of 255. */
export function withoutZeros(batches: readonly Batch[]): readonly Batch[] {
  return batches.map(({ pixels, labels }) => ({ pixels: pixels.map((pixel) => Math.max(1, pixel)), labels }));
}

/** Pixels as float32 in 0..1, [samples, 784]. */
export function scaledPixels(batch: Batch): Float32Array<ArrayBuffer> {
  const scaled = new Float32Array(batch.pixels.length);
  // `Float32Array.from` with a function takes ten times as long.
  for (let index = 0; index < scaled.length; index++) scaled[index] = batch.pixels[index]! / 255;
  return scaled;
}

/** One-hot labels, [samples, 10]. */
export function oneHotLabels(batch: Batch): Float32Array<ArrayBuffer> {
  const rows = new Float32Array(batch.labels.length * mnist.classes);
  for (const [sample, label] of batch.labels.entries()) rows[sample * mnist.classes + label] = 1;
  return rows;
}

/**
 * Checks the weights after `steps` steps by the distance between the two *changes* of the weights: the weights
 * themselves change little in training, and would hide a candidate that trains wrongly or not at all.
 */
function weightsCheck(work: MnistStep, steps: number): (weights: Float32Array) => Check {
  const { net, initial, batches, learningRate } = work;
  const change = (weights: Float32Array | Float64Array): Float64Array =>
    Float64Array.from(weights, (weight, index) => weight - initial[index]!);
  const expected = change(trainOracle(net, initial, batches, learningRate, steps));
  return (weights) => ({
    distance: relativeDistance(change(weights), expected),
    // A getter, because the double-precision loss takes as long as the oracle's step and is not always needed.
    get figure() {
      return weights.length === initial.length ? meanLoss(net, weights, batches[0]!) : Number.NaN;
    },
  });
}

/** Checks the gradient of the mean loss at the initial weights on the last of `steps` batches. */
export function gradientCheck({ net, initial, batches }: MnistStep, steps: number): (gradient: Float32Array) => Check {
  const expected = meanGradient(net, initial, batches[(steps - 1) % batches.length]!);
  return (gradient) => ({ distance: relativeDistance(gradient, expected), figure: norm(gradient) });
}

/** The case in which candidates train on `work`, checked by their weights after `checkedSteps` steps. */
export function trainingCase(
  name: string,
  work: MnistStep,
  checkedSteps: number,
  candidates: Case['candidates'],
): Case {
  return {
    name,
    workPerStep: { amount: work.batchSize, unit: 'images' },
    checkedSteps,
    tolerance: 1e-4,
    figureName: 'loss',
    check: weightsCheck(work, checkedSteps),
    candidates,
  };
}
