/** Samples on their way into a compiled model: bytes are divided, floats taken as they are. */
import { type Backend, type ByteTable, createByteInput, type Program, type Tensor } from '@lockstep/tensor';

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
  /**
   * Takes in as many samples as the tensor has rows. Throws one sentence when lengths differ.
   * @returns the rest of that work, for the thread that computes
   */
  take(samples: SampleValues | SampleRows): readonly Program[];
  dispose(): void;
}

/** @param x [samples, ...input], of a plan's inputs */
export function createSampleInput(backend: Backend, x: Tensor): SampleInput {
  const byteInput = createByteInput(backend, x.storage, byteDivisor);
  const count = x.shape[0]!;
  return {
    take(samples) {
      if ('table' in samples) {
        checkRows(samples, count, x.size / count);
        return [byteInput.takeRows(samples.table, samples.numbers)];
      }
      checkLength('values of samples', samples.length, x.size);
      if (samples instanceof Uint8Array) return [byteInput.take(samples)];
      backend.upload(x.storage, samples);
      return [];
    },
    dispose: () => byteInput.dispose(),
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
