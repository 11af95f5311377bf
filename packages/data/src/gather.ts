/** Copies samples out of a dataset. */
import { checkWhole } from './check-whole.ts';
import type { Dataset } from './dataset.ts';

/** Samples in memory of their own: `[count, rows * columns]` pixels and `[count]` labels. */
export interface Samples {
  readonly pixels: Uint8Array<ArrayBuffer>;
  readonly labels: Uint8Array<ArrayBuffer>;
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
