/** Feeds samples to a compiled model: bytes are divided by 255, floats are unchanged. */
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

/** Concatenated samples: a byte enters the model as byte / 255, a float unchanged. */
export type SampleValues = Uint8Array | Float32Array;

/** Samples in a table of the plan's backend: row `numbers[i]` holds the bytes of sample i. */
export interface SampleRows {
  readonly table: ByteTable;
  readonly numbers: Uint32Array;
}

/** A byte enters the model as byte / 255. */
export const byteDivisor = 255;

export interface SampleInput {
  /** [samples, ...input]; an input for a plan. */
  readonly x: Tensor;
  /**
   * Takes one sample per row of the tensor. Throws one sentence if lengths differ.
   * @returns programs that finish loading, for the thread that runs the plan
   */
  take(samples: SampleValues | SampleRows): readonly Program[];
  /** Also frees the memory of the samples, so no plan may read them afterwards. */
  dispose(): void;
}

/**
 * Creates an input of `shape` [samples, ...input].
 * Create it before the plan that reads it: a backend may then leave bytes unconverted for the plan's products.
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
