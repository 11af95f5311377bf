/** Which samples belong to which step, and within a step to which shard of microbatches. */
import type { Dataset } from './dataset.ts';

/** One step's samples: positions `[first, first + count)` of its epoch's permutation. */
export interface Batch {
  readonly epoch: number;
  readonly first: number;
  readonly count: number;
}

/** Samples of a step, `[from, to)`, counted from the batch's first. */
export interface SampleRange {
  readonly from: number;
  readonly to: number;
}

/** Samples ready to travel: `[count, rows * columns]` pixels and `[count]` labels, in memory of their own. */
export interface Samples {
  readonly pixels: Uint8Array<ArrayBuffer>;
  readonly labels: Uint8Array<ArrayBuffer>;
}

/** Steps that visit `sampleCount` samples once, `batchSize` at a time; the last, short batch is kept. */
export function stepsPerEpoch(sampleCount: number, batchSize: number): number {
  requireWhole('sampleCount', sampleCount, 1);
  requireWhole('batchSize', batchSize, 1);
  return Math.ceil(sampleCount / batchSize);
}

/** The batch of a step, steps counted from 0 over the whole run. */
export function batchAt(step: number, sampleCount: number, batchSize: number): Batch {
  requireWhole('step', step, 0);
  const steps = stepsPerEpoch(sampleCount, batchSize);
  const first = (step % steps) * batchSize;
  return { epoch: Math.floor(step / steps), first, count: Math.min(batchSize, sampleCount - first) };
}

/** Microbatches of the reduce tree: enough for a full batch, padded with empty ones to a power of two. */
export function microbatchCount(batchSize: number, microbatchSize: number): number {
  requireWhole('batchSize', batchSize, 1);
  requireWhole('microbatchSize', microbatchSize, 1);
  const needed = Math.ceil(batchSize / microbatchSize);
  let microbatches = 1;
  while (microbatches < needed) microbatches *= 2;
  return microbatches;
}

/** Samples of the microbatches `[lo, lo + n)` in a batch of `count`; an empty range for microbatches that are padding. */
export function samplesOfShard(lo: number, n: number, microbatchSize: number, count: number): SampleRange {
  requireWhole('lo', lo, 0);
  requireWhole('n', n, 1);
  requireWhole('microbatchSize', microbatchSize, 1);
  requireWhole('count', count, 0);
  return { from: Math.min(lo * microbatchSize, count), to: Math.min((lo + n) * microbatchSize, count) };
}

/** Copies the samples at positions `[from, to)` of a permutation. Throws RangeError when there are none such. */
export function gather(dataset: Omit<Dataset, 'classes'>, permutation: Uint32Array, from: number, to: number): Samples {
  requireWhole('the first position', from, 0);
  if (!Number.isSafeInteger(to) || to < from || to > permutation.length) {
    throw new RangeError(`gather: expected positions from ${from} to at most ${permutation.length}, got to ${to}`);
  }
  const numbers = permutation.subarray(from, to);
  const labels = new Uint8Array(numbers.length);
  for (let at = 0; at < numbers.length; at += 1) {
    const sample = numbers[at]!;
    if (sample >= dataset.count) {
      throw new RangeError(`gather: expected samples below ${dataset.count}, got ${sample} at position ${from + at}`);
    }
    labels[at] = dataset.labels[sample]!;
  }
  return { pixels: gatherPixels(dataset.images, dataset.rows * dataset.columns, numbers), labels };
}

/** Copies the pixels of samples out of `images`, in which each has `size` bytes. Throws RangeError where one lies beyond. */
export function gatherPixels(images: Uint8Array, size: number, numbers: Uint32Array): Uint8Array<ArrayBuffer> {
  const pixels = new Uint8Array(numbers.length * size);
  for (let at = 0; at < numbers.length; at += 1) {
    const from = numbers[at]! * size;
    if (from + size > images.length) {
      const expected = `${from + size} bytes of images for sample ${numbers[at]}`;
      throw new RangeError(`gather: expected ${expected}, got ${images.length}`);
    }
    pixels.set(images.subarray(from, from + size), at * size);
  }
  return pixels;
}

function requireWhole(name: string, value: number, minimum: number): void {
  if (!Number.isSafeInteger(value) || value < minimum) {
    throw new RangeError(`batches: expected ${name} to be a whole number of at least ${minimum}, got ${value}`);
  }
}
