/** A fixed small gradient that every worker computes when it joins: it shows the numeric mode, and wrong results. */
import type { SampleBatch } from '@lockstep/data';
import { initialize, inputSize, type Model, outputCount } from '@lockstep/nn';
import { bytesOf } from '@lockstep/protocol';
import { randomStream } from '@lockstep/tensor';
import type { DataFormat } from './batch-bytes.ts';
import type { ComputeSetup } from './worker/compute.ts';

export interface NumericsCheck extends SampleBatch {
  /** All parameters in model order, little-endian float32; made anew whenever it is read, so that a run does not keep them. */
  readonly weights: Uint8Array;
}

/** Values of a gradient that those of workers are compared with. */
export interface ReferenceGradient {
  /** Of the whole gradient. */
  readonly length: number;
  /** The gradient's values 0, `every`, 2 `every` and so on. */
  readonly values: Float32Array;
  readonly every: number;
}

/** Most values of a gradient that are kept: 4 MB. */
const mostReferenceValues = 2 ** 20;

/** All values of the gradient, or of a long one so many that no layer of its model is left out. */
export function referenceOf(gradient: Float32Array): ReferenceGradient {
  const { length } = gradient;
  // An odd distance does not stay in one column of a matrix, whose width is mostly even.
  const every = Math.ceil(length / mostReferenceValues) | 1;
  const values = Float32Array.from({ length: Math.ceil(length / every) }, (_, index) => gradient[index * every]!);
  return { length, values, every };
}

type Types = Pick<DataFormat, 'sampleType' | 'targetType'>;

const bytesAndClasses: Types = { sampleType: 'u8', targetType: 'classes' };

const numericsSeed = 0x70726f62;

/**
 * What the check is computed with: of a run with inner steps, the gradient of one. What steps take from the weights has
 * lost the last bits of the gradient, which tell one numeric mode from another.
 */
export function checkedSetup({ innerSteps, ...setup }: ComputeSetup): ComputeSetup {
  return innerSteps ? { ...setup, microbatchSize: innerSteps.batch } : setup;
}

/**
 * One and a half microbatches, so that the shapes of a run and one addition of the tree are in it. Most values are 0, as
 * in handwriting; every fourth sample has no zeros, so that dense and sparse products both run.
 * @param types bytes with classes where left out
 */
export function createNumericsCheck(
  model: Model,
  microbatchSize: number,
  { sampleType, targetType }: Types = bytesAndClasses,
): NumericsCheck {
  const random = randomStream(numericsSeed);
  const size = inputSize(model);
  const count = microbatchSize + Math.ceil(microbatchSize / 2);
  const isBytes = sampleType === 'u8';
  const samples = isBytes ? new Uint8Array(count * size) : new Float32Array(count * size);
  for (let index = 0; index < samples.length; index++) {
    const isDense = Math.floor(index / size) % 4 === 3;
    if (isDense || random() < 0.2) samples[index] = isBytes ? Math.floor(256 * random()) : 2 * random() - 1;
  }
  const outputs = outputCount(model);
  const targets =
    targetType === 'classes'
      ? Uint16Array.from({ length: count }, () => Math.floor(outputs * random()))
      : Float32Array.from({ length: count * outputs }, () => 2 * random() - 1);
  return {
    get weights() {
      return bytesOf(initialize(model, numericsSeed));
    },
    ...{ samples, targets, count },
  };
}

/** The largest difference that rounding in another order explains, relative to the largest expected value. */
const tolerance = 1e-3;

/** Compares a worker's gradient of the check with the reference, part by part, as it arrives. */
export class NumericsComparison {
  readonly #reference: ReferenceGradient;
  /** Values so far. */
  #length = 0;
  #worst = 0;

  constructor(reference: ReferenceGradient) {
    this.#reference = reference;
  }

  /** Takes the next values, little-endian float32 at any alignment. */
  add(bytes: Uint8Array): void {
    const { values, every } = this.#reference;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const end = this.#length + bytes.length / 4;
    for (let index = Math.ceil(this.#length / every); index * every < end && index < values.length; index++) {
      const got = view.getFloat32(4 * (index * every - this.#length), true);
      // A NaN stays the worst of all, whatever comes after it.
      this.#worst = Math.max(this.#worst, Math.abs(got - values[index]!));
    }
    this.#length = end;
  }

  /** What is wrong with the gradient, once it is whole; undefined where only rounding differs. */
  fault(): string | undefined {
    const { length, values } = this.#reference;
    if (this.#length !== length) {
      return `numerics check: expected a gradient of ${length} values, got ${this.#length}`;
    }
    const most = tolerance * values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
    if (this.#worst <= most) return undefined;
    return `numerics check: this worker's gradient differs from the reference by ${this.#worst.toPrecision(2)}, at most ${most.toPrecision(2)} can be rounding: it computes wrongly`;
  }
}

/** The same of a gradient that is there. */
export function numericsFault(reference: ReferenceGradient, gradient: Uint8Array): string | undefined {
  const comparison = new NumericsComparison(reference);
  comparison.add(gradient);
  return comparison.fault();
}
