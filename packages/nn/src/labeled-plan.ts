/** A model compiled for a fixed number of labeled samples: what gradients and evaluation share. */
import {
  type Backend,
  type ByteTable,
  compile,
  type Plan,
  type RandomKeys,
  randomKey,
  type Storage,
  type Tensor,
} from '@lockstep/tensor';
import { inputSize, type Model } from './model.ts';
import { parameterTensors } from './parameters.ts';
import { defaultKey, type RandomKey } from './random-key.ts';

/** A pixel byte stands for byte / 255. */
export const pixelDivisor = 255;

/** The pixels of samples that lie in a table of the plan's backend: row `numbers[i]` [inputSize] is that of sample i. */
export interface PixelRows {
  readonly table: ByteTable;
  readonly numbers: Uint32Array;
}

export interface LabeledPlan {
  readonly samples: number;
  /** What `run` leaves; see the function that made the plan. */
  readonly output: Storage;
  /**
   * `pixels` [samples * inputSize], or rows of a table, read as byte / 255; `labels` [samples], class indices. Throws one
   * sentence when lengths differ. A label that is no class makes the loss NaN. `key` fixes what a model drops at random
   * while it trains; without one, the same is dropped at each run.
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
  return new CompiledLabeledPlan(backend, plan, samples, inputSize(model), isRandom);
}

class CompiledLabeledPlan implements LabeledPlan {
  readonly samples: number;
  readonly output: Storage;
  readonly #backend: Backend;
  readonly #plan: Plan;
  readonly #inputSize: number;
  /** Positions of the samples in their epoch; undefined where nothing is random. */
  readonly #sampleNumbers: Float32Array | undefined;

  constructor(backend: Backend, plan: Plan, samples: number, inputSize: number, isRandom: boolean) {
    this.samples = samples;
    this.output = plan.output;
    this.#backend = backend;
    this.#plan = plan;
    this.#inputSize = inputSize;
    this.#sampleNumbers = isRandom ? new Float32Array(samples) : undefined;
  }

  run(pixels: Uint8Array | PixelRows, labels: Uint8Array, key: RandomKey = defaultKey): void {
    checkLength('labels', labels, this.samples);
    this.#uploadPixels(pixels);
    this.#backend.uploadBytes(this.#plan.inputs[1]!.storage, labels, 1);
    this.#uploadKey(key);
    this.#plan.run();
  }

  dispose(): void {
    this.#plan.dispose();
  }

  #uploadPixels(pixels: Uint8Array | PixelRows): void {
    const x = this.#plan.inputs[0]!.storage;
    if (pixels instanceof Uint8Array) {
      checkLength('pixels', pixels, this.samples * this.#inputSize);
      this.#backend.uploadBytes(x, pixels, pixelDivisor);
    } else {
      checkRows(pixels, this.samples, this.#inputSize);
      pixels.table.upload(x, pixels.numbers, pixelDivisor);
    }
  }

  #uploadKey({ seed, step, firstSample }: RandomKey): void {
    const numbers = this.#sampleNumbers;
    if (numbers === undefined) return;
    for (let index = 0; index < numbers.length; index++) numbers[index] = firstSample + index;
    this.#backend.upload(this.#plan.inputs[2]!.storage, randomKey(seed, step));
    this.#backend.upload(this.#plan.inputs[3]!.storage, numbers);
  }
}

export function checkSamples(samples: number): void {
  if (!Number.isSafeInteger(samples) || samples < 1) {
    throw new Error(`microbatch: expected 1 or more samples, got ${samples}`);
  }
}

export function checkLength(what: string, bytes: Uint8Array, expected: number): void {
  if (bytes.length !== expected) throw new Error(`microbatch: expected ${expected} ${what}, got ${bytes.length}`);
}

function checkRows({ table, numbers }: PixelRows, samples: number, size: number): void {
  if (numbers.length === samples && table.columns === size) return;
  const got = `${numbers.length} rows of ${table.columns}`;
  throw new Error(`microbatch: expected ${samples} rows of ${size} pixels, got ${got}`);
}
