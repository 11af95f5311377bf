/** A model compiled for a fixed number of labeled samples: what gradients and evaluation share. */
import {
  type Backend,
  type ByteTable,
  compile,
  type RandomKeys,
  randomKey,
  type Storage,
  type Tensor,
} from '@lockstep/tensor';
import type { Model } from './model.ts';
import { parameterTensors } from './parameters.ts';

/** A pixel byte stands for byte / 255. */
export const pixelDivisor = 255;

/** What fixes the random choices of a model in training; nothing in it depends on which worker computes. */
export interface RandomKey {
  /** The run's seed, a whole number below 2^32. */
  readonly seed: number;
  readonly step: number;
  /** Position of the first sample in its epoch's order; the others follow. */
  readonly firstSample: number;
}

/** Where a caller gives none. */
export const defaultKey: RandomKey = { seed: 0, step: 0, firstSample: 0 };

/** Pixels of samples in a table of the plan's backend: row `numbers[i]` [inputSize] is that of sample i. */
export interface PixelRows {
  readonly table: ByteTable;
  readonly numbers: Uint32Array;
}

export interface LabeledPlan {
  /** What `run` leaves; see the function that made the plan. */
  readonly output: Storage;
  /**
   * `pixels` [samples * inputSize], or rows of a table, read as byte / 255; `labels` [samples], class indices. Throws
   * one sentence when lengths differ. A label that is no class makes the loss NaN. `key` fixes what dropout drops in
   * training; without one, each run drops the same.
   */
  run(pixels: Uint8Array | PixelRows, labels: Uint8Array, key?: RandomKey): void;
  dispose(): void;
}

/** What a plan computes of its inputs: `x` [samples, ...input], `labels` [samples], one tensor for each parameter. */
export type LabeledOutputs = (
  x: Tensor,
  labels: Tensor,
  parameters: readonly Tensor[],
  random: RandomKeys | undefined,
) => readonly Tensor[];

/** @param isRandom whether `outputs` makes random choices, which the key of each run fixes */
export function createLabeledPlan(
  backend: Backend,
  model: Model,
  samples: number,
  parameters: Storage,
  isRandom: boolean,
  outputs: LabeledOutputs,
): LabeledPlan {
  checkSamples(samples);
  const plan = compile(
    backend,
    (x, labels, ...rest) => {
      const [key, sampleNumbers] = rest.splice(0, isRandom ? 2 : 0);
      return outputs(x!, labels!, rest, key && sampleNumbers && { key, samples: sampleNumbers });
    },
    [
      [samples, ...model.input],
      [samples],
      ...(isRandom ? [[4], [samples]] : []),
      ...parameterTensors(backend, model, parameters),
    ],
  );
  const [x, labelValues, randomKeys, numbers] = plan.inputs;
  const sampleNumbers = new Float32Array(samples);
  return {
    output: plan.output,
    run(pixels, labels, key = defaultKey) {
      checkLength('labels', labels, samples);
      uploadPixels(backend, x!.storage, pixels, samples);
      backend.uploadBytes(labelValues!.storage, labels, 1);
      if (isRandom) {
        for (let index = 0; index < samples; index++) sampleNumbers[index] = key.firstSample + index;
        backend.upload(randomKeys!.storage, randomKey(key.seed, key.step));
        backend.upload(numbers!.storage, sampleNumbers);
      }
      plan.run();
    },
    dispose: () => plan.dispose(),
  };
}

function uploadPixels(backend: Backend, x: Storage, pixels: Uint8Array | PixelRows, samples: number): void {
  if (pixels instanceof Uint8Array) {
    checkLength('pixels', pixels, x.length);
    backend.uploadBytes(x, pixels, pixelDivisor);
    return;
  }
  const { table, numbers } = pixels;
  const size = x.length / samples;
  if (numbers.length !== samples || table.columns !== size) {
    const got = `${numbers.length} rows of ${table.columns}`;
    throw new Error(`microbatch: expected ${samples} rows of ${size} pixels, got ${got}`);
  }
  table.upload(x, numbers, pixelDivisor);
}

export function checkSamples(samples: number): void {
  if (!Number.isSafeInteger(samples) || samples < 1) {
    throw new Error(`microbatch: expected 1 or more samples, got ${samples}`);
  }
}

export function checkLength(what: string, bytes: Uint8Array, expected: number): void {
  if (bytes.length !== expected) throw new Error(`microbatch: expected ${expected} ${what}, got ${bytes.length}`);
}
