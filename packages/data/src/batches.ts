/** Which samples belong to a step, and which of them to a shard of its microbatches. */
import { checkWhole } from './check-whole.ts';
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

/** Samples in memory of their own: `[count, rows * columns]` pixels and `[count]` labels. */
export interface Samples {
  readonly pixels: Uint8Array<ArrayBuffer>;
  readonly labels: Uint8Array<ArrayBuffer>;
}

/** Steps that visit `sampleCount` samples once, `batchSize` at a time; the last, short batch is kept. */
export function stepsPerEpoch(sampleCount: number, batchSize: number): number {
  checkWhole('sampleCount', sampleCount, 1);
  checkWhole('batchSize', batchSize, 1);
  return Math.ceil(sampleCount / batchSize);
}

/** The batch of a step, steps counted from 0 over the whole run. */
export function batchAt(step: number, sampleCount: number, batchSize: number): Batch {
  checkWhole('step', step, 0);
  const steps = stepsPerEpoch(sampleCount, batchSize);
  const first = (step % steps) * batchSize;
  return { epoch: Math.floor(step / steps), first, count: Math.min(batchSize, sampleCount - first) };
}

/** Microbatches of the reduction tree: enough for a full batch, padded with empty ones to a power of two. */
export function microbatchCount(batchSize: number, microbatchSize: number): number {
  checkWhole('batchSize', batchSize, 1);
  checkWhole('microbatchSize', microbatchSize, 1);
  const needed = Math.ceil(batchSize / microbatchSize);
  let microbatches = 1;
  while (microbatches < needed) microbatches *= 2;
  return microbatches;
}

/** Samples of the microbatches `[lo, lo + n)` in a batch of `count` samples; an empty range where all are padding. */
export function samplesOfShard(lo: number, n: number, microbatchSize: number, count: number): SampleRange {
  checkWhole('lo', lo, 0);
  checkWhole('n', n, 1);
  checkWhole('microbatchSize', microbatchSize, 1);
  checkWhole('count', count, 0);
  return { from: Math.min(lo * microbatchSize, count), to: Math.min((lo + n) * microbatchSize, count) };
}

/** Copies the samples at positions `[from, to)` of a permutation. Throws RangeError where there is no such sample. */
export function gather(dataset: Omit<Dataset, 'classes'>, permutation: Uint32Array, from: number, to: number): Samples {
  checkWhole('from', from, 0);
  checkWhole('to', to, from, permutation.length);
  const indices = permutation.subarray(from, to);
  const labels = new Uint8Array(indices.length);
  for (let row = 0; row < indices.length; row += 1) {
    const sample = indices[row]!;
    if (sample >= dataset.count) {
      throw new RangeError(`gather: expected samples below ${dataset.count}, got ${sample} at position ${from + row}`);
    }
    labels[row] = dataset.labels[sample]!;
  }
  return { pixels: gatherPixels(dataset.images, dataset.rows * dataset.columns, indices), labels };
}

/**
 * Copies the pixels of the samples with these indices out of `images`, in which each sample has `size` bytes.
 * Throws RangeError where a sample lies beyond the end.
 */
export function gatherPixels(images: Uint8Array, size: number, indices: Uint32Array): Uint8Array<ArrayBuffer> {
  const pixels = new Uint8Array(indices.length * size);
  for (let row = 0; row < indices.length; row += 1) {
    const from = indices[row]! * size;
    if (from + size > images.length) {
      const expected = `${from + size} bytes of images for sample ${indices[row]}`;
      throw new RangeError(`gather: expected ${expected}, got ${images.length}`);
    }
    pixels.set(images.subarray(from, from + size), row * size);
  }
  return pixels;
}
