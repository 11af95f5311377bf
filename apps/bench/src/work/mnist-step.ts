/** The work of the gradient-step question: MNIST batches, initial weights, and the judgement of trained weights. */
import type { Verdict } from '../question.ts';
import { relativeDistance } from '../statistics.ts';
import { type Batch, meanLoss, mlp, offsets, trainMlp } from './mlp-oracle.ts';

/** One size of the work; a contender steps through `batches` in turn, the first again after the last. */
export interface MnistStep {
  readonly batchSize: number;
  readonly learningRate: number;
  readonly batches: readonly Batch[];
  /** Initial parameters, laid out as `offsets` says. */
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

/** The four parameters as views of one vector. */
export function splitParameters(parameters: Float32Array) {
  return {
    weight1: parameters.subarray(offsets.weight1, offsets.bias1),
    bias1: parameters.subarray(offsets.bias1, offsets.weight2),
    weight2: parameters.subarray(offsets.weight2, offsets.bias2),
    bias2: parameters.subarray(offsets.bias2, offsets.end),
  };
}

/** One vector from the four parameters, in model order. */
export function joinParameters(parts: readonly ArrayLike<number>[]): Float32Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const parameters = new Float32Array(length);
  let offset = 0;
  for (const part of parts) {
    parameters.set(part, offset);
    offset += part.length;
  }
  return parameters;
}

/**
 * Judges weights after `steps` steps. The distance is that of the two *changes* of the weights, so that a contender which
 * trains wrongly, or not at all, cannot hide behind the large part that training leaves as it was.
 */
export function weightsJudge(work: MnistStep, steps: number): (weights: Float32Array) => Verdict {
  const expected = trainMlp(work.initial, work.batches, work.learningRate, steps);
  const expectedChange = expected.map((weight, index) => weight - work.initial[index]!);
  return (weights) => ({
    distance: relativeDistance(
      Float64Array.from(weights, (weight, index) => weight - work.initial[index]!),
      expectedChange,
    ),
    figure: weights.length === offsets.end ? meanLoss(weights, work.batches[0]!) : Number.NaN,
  });
}
