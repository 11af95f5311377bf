/** Samples on their way into a compiled model: bytes are divided, floats taken as they are. */
import {
  type Backend,
  type ByteTable,
  createByteInput,
  fromStorage,
  type Program,
  type Shape,
  sizeOf,
  type Tensor,
} from '@lockstep/tensor';

/** Samples, one after another: a model sees a byte as byte / 255, and a float as it is. */
export type SampleValues = Uint8Array | Float32Array;

/** Samples in a table of the plan's backend: row `numbers[i]` holds the bytes of sample i. */
export interface SampleRows {
  readonly table: ByteTable;
  readonly numbers: Uint32Array;
}

/** A byte stands for byte / 255. */
export const byteDivisor = 255;

export interface SampleInput {
  /** [samples, ...input], to be an input of a plan. */
  readonly x: Tensor;
  /**
   * Takes in as many samples as the tensor has rows. Throws one sentence when lengths differ.
   * @returns the rest of that work, for the thread that computes
   */
  take(samples: SampleValues | SampleRows): readonly Program[];
  /** Gives back the memory of the samples too, which no plan may read any more. */
  dispose(): void;
}

/**
 * An input of `shape` [samples, ...input].
 * It comes before the plan that reads it: a backend may then leave bytes as they are for the plan's products.
 */
export function createSampleInput(backend: Backend, shape: Shape): SampleInput {
  const storage = backend.allocate(sizeOf(shape));
  const x = fromStorage(backend, storage, shape);
  const byteInput = createByteInput(backend, storage, byteDivisor);
  const count = shape[0]!;
  return {
    x,
    take(samples) {
      if ('table' in samples) {
        checkRows(samples, count, x.size / count);
        return [byteInput.takeRows(samples.table, samples.numbers)];
      }
      checkLength('values of samples', samples.length, x.size);
      if (samples instanceof Uint8Array) return [byteInput.take(samples)];
      backend.upload(storage, samples);
      return [];
    },
    dispose() {
      byteInput.dispose();
      x.dispose();
      backend.free(storage);
    },
  };
}

function checkRows({ table, numbers }: SampleRows, count: number, size: number): void {
  if (numbers.length === count && table.columns === size) return;
  const got = `${numbers.length} rows of ${table.columns}`;
  throw new Error(`microbatch: expected ${count} rows of ${size} bytes, got ${got}`);
}

export function checkSamples(samples: number): void {
  if (!Number.isSafeInteger(samples) || samples < 1) {
    throw new Error(`microbatch: expected 1 or more samples, got ${samples}`);
  }
}

export function checkLength(what: string, length: number, expected: number): void {
  if (length !== expected) throw new Error(`microbatch: expected ${expected} ${what}, got ${length}`);
}
