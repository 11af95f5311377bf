/** A model compiled for a fixed number of labeled samples: what gradients and evaluation share. */
import {
  type Backend,
  type ByteInput,
  type ByteTable,
  compile,
  createByteInput,
  type Program,
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
   * Takes in the samples of the next run. `pixels` [samples * inputSize], or rows of a table, read as byte / 255; `labels`
   * [samples], class indices. Throws one sentence when lengths differ. A label that is no class makes the loss NaN. `key`
   * fixes what dropout drops in training; without one, each run drops the same.
   * @returns the rest of that work, for the thread that runs the plan
   */
  load(pixels: Uint8Array | PixelRows, labels: Uint8Array, key?: RandomKey): Program;
  /** What computes from the samples that were loaded, and leaves in `output` [as long as that of the plan] what `run` leaves. */
  into(output: Storage): Program;
  /** Loads samples and computes. */
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

export interface LabeledPlanOptions {
  /** Whether the outputs are of random choices, which the key of each run fixes. */
  readonly isRandom: boolean;
  /** Stands for the plan's own output where it is given; it stays the caller's. */
  readonly output?: Storage | undefined;
}

export function createLabeledPlan(
  backend: Backend,
  model: Model,
  samples: number,
  parameters: Storage,
  { isRandom, output }: LabeledPlanOptions,
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
    output === undefined ? {} : { output },
  );
  const [x, labelValues, randomKeys, numbers] = plan.inputs;
  const pixelInput = createByteInput(backend, x!.storage, pixelDivisor);
  const sampleNumbers = new Float32Array(samples);

  const load = (pixels: Uint8Array | PixelRows, labels: Uint8Array, key: RandomKey = defaultKey): Program => {
    checkLength('labels', labels, samples);
    backend.uploadBytes(labelValues!.storage, labels, 1);
    if (isRandom) {
      for (let index = 0; index < samples; index++) sampleNumbers[index] = key.firstSample + index;
      backend.upload(randomKeys!.storage, randomKey(key.seed, key.step));
      backend.upload(numbers!.storage, sampleNumbers);
    }
    return takePixels(pixelInput, pixels, samples, x!.size);
  };

  return {
    output: plan.output,
    load,
    into: (storage) => plan.into(storage),
    run(...batch) {
      load(...batch).run();
      plan.run();
    },
    dispose() {
      pixelInput.dispose();
      plan.dispose();
    },
  };
}

function takePixels(input: ByteInput, pixels: Uint8Array | PixelRows, samples: number, length: number): Program {
  if (pixels instanceof Uint8Array) {
    checkLength('pixels', pixels, length);
    return input.take(pixels);
  }
  const { table, numbers } = pixels;
  const size = length / samples;
  if (numbers.length !== samples || table.columns !== size) {
    const got = `${numbers.length} rows of ${table.columns}`;
    throw new Error(`microbatch: expected ${samples} rows of ${size} pixels, got ${got}`);
  }
  return input.takeRows(table, numbers);
}

export function checkSamples(samples: number): void {
  if (!Number.isSafeInteger(samples) || samples < 1) {
    throw new Error(`microbatch: expected 1 or more samples, got ${samples}`);
  }
}

export function checkLength(what: string, bytes: Uint8Array, expected: number): void {
  if (bytes.length !== expected) throw new Error(`microbatch: expected ${expected} ${what}, got ${bytes.length}`);
}
