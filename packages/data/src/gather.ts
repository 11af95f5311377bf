/** Copies samples out of a data set. */
import { checkWhole } from './check-whole.ts';
import { type Dataset, type SampleValues, sampleSize, targetSize, targetValues } from './dataset.ts';

/** Arrays whose rows can be gathered. */
type Numbers = Uint8Array | Uint16Array | Float32Array;

/** A copy of some samples. */
export interface SampleBatch {
  /** [count, ...sampleShape]. */
  readonly samples: SampleValues;
  /** Labels [count], or values [count, outputs]. */
  readonly targets: Uint16Array | Float32Array;
  readonly count: number;
}

/** Copies the samples at positions `[from, to)` of a permutation. @throws RangeError if there is no such sample */
export function gather(dataset: Dataset, permutation: Uint32Array, from: number, to: number): SampleBatch {
  checkWhole('from', from, 0);
  checkWhole('to', to, from, permutation.length);
  const indices = permutation.subarray(from, to);
  for (let row = 0; row < indices.length; row += 1) {
    const sample = indices[row]!;
    if (sample >= dataset.count) {
      throw new RangeError(`gather: expected samples below ${dataset.count}, got ${sample} at position ${from + row}`);
    }
  }
  return {
    samples: gatherRows(dataset.samples, sampleSize(dataset), indices),
    targets: gatherTargets(dataset, indices),
    count: indices.length,
  };
}

/** Copies the targets of the samples with these indices. @throws RangeError if an index is out of range */
export function gatherTargets({ targets }: Dataset, indices: Uint32Array): SampleBatch['targets'] {
  return gatherRows(targetValues(targets), targetSize(targets), indices);
}

/** Copies the rows with these indices out of `values` [rows, size]. @throws RangeError if an index is out of range */
export function gatherRows<Values extends Numbers>(values: Values, size: number, indices: Uint32Array): Values {
  const picked = numbersLike(values, indices.length * size) as Values;
  const rows = values.length / size;
  for (let row = 0; row < indices.length; row += 1) {
    const index = indices[row]!;
    if (index >= rows) throw new RangeError(`gather: expected rows below ${rows}, got ${index}`);
    if (size === 1) picked[row] = values[index]!;
    else picked.set(values.subarray(index * size, (index + 1) * size), row * size);
  }
  return picked;
}

function numbersLike(values: Numbers, length: number): Numbers {
  if (values instanceof Uint8Array) return new Uint8Array(length);
  return values instanceof Uint16Array ? new Uint16Array(length) : new Float32Array(length);
}
