/** The work of a training step: MNIST batches, initial weights, and the judgement of trained weights. */
import type { Verdict } from '../question.ts';
import { relativeDistance } from '../statistics.ts';
import { type Batch, mlp } from './mlp-oracle.ts';
import type { Net } from './net.ts';

/** One size of the work; a contender steps through `batches` in turn, the first again after the last. */
export interface MnistStep {
  readonly net: Net;
  readonly batchSize: number;
  readonly learningRate: number;
  readonly batches: readonly Batch[];
  /** Initial parameters in one vector, laid out as the net says. */
  readonly initial: Float32Array;
}

/** Cuts the first `batchSize * batchCount` images of a data set into batches. */
export function cutBatches(
  images: Uint8Array,
  labels: Uint8Array,
  batchSize: number,
  batchCount: number,
): readonly Batch[] {
  if (labels.length < batchSize * batchCount) {
    throw new RangeError(`the bench needs ${batchSize * batchCount} images, got ${labels.length}`);
  }
  return Array.from({ length: batchCount }, (_, index) => {
    const first = index * batchSize;
    return {
      pixels: images.slice(first * mlp.inputs, (first + batchSize) * mlp.inputs),
      labels: labels.slice(first, first + batchSize),
    };
  });
}

/** The same images without a zero: every black pixel becomes the darkest grey, 1 of 255. */
export function withoutZeros(batches: readonly Batch[]): readonly Batch[] {
  return batches.map(({ pixels, labels }) => ({ pixels: pixels.map((pixel) => Math.max(1, pixel)), labels }));
}

/** Pixels as float32 of 0..1, [samples, 784]. */
export function scaledPixels(batch: Batch): Float32Array {
  return Float32Array.from(batch.pixels, (pixel) => pixel / 255);
}

/** Labels as rows of 0 and 1, [samples, 10]. */
export function oneHotLabels(batch: Batch): Float32Array {
  const rows = new Float32Array(batch.labels.length * mlp.classes);
  for (const [sample, label] of batch.labels.entries()) rows[sample * mlp.classes + label] = 1;
  return rows;
}

/**
 * Judges weights after `steps` steps. The distance is that of the two *changes* of the weights, so that a contender which
 * trains wrongly, or not at all, cannot hide behind the large part that training leaves as it was.
 */
export function weightsJudge(work: MnistStep, steps: number): (weights: Float32Array) => Verdict {
  const { net, initial } = work;
  const expected = net.train(initial, work.batches, work.learningRate, steps);
  const expectedChange = expected.map((weight, index) => weight - initial[index]!);
  return (weights) => ({
    distance: relativeDistance(
      Float64Array.from(weights, (weight, index) => weight - initial[index]!),
      expectedChange,
    ),
    figure: weights.length === initial.length ? net.meanLoss(weights, work.batches[0]!) : Number.NaN,
  });
}

/** Judges the gradient of the mean loss that a contender at the initial weights finds on the last of `steps` batches. */
export function gradientJudge(work: MnistStep, steps: number): (gradient: Float32Array) => Verdict {
  const { net, initial } = work;
  const batch = work.batches[(steps - 1) % work.batches.length]!;
  const expected = net.train(initial, [batch], 1, 1).map((weight, index) => initial[index]! - weight);
  return (gradient) => ({
    distance: relativeDistance(gradient, expected),
    figure: Math.sqrt(gradient.reduce((sum, value) => sum + value * value, 0)),
  });
}
