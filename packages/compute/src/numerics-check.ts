/** A small fixed gradient that every joining worker computes: it reveals wrong results and the numeric mode. */
import { classField, type SampleBatch, type SampleField, sizeOfField } from '@lockstep/data';
import { initialize, type Model, outputCount, sampleSize } from '@lockstep/nn';
import { bytesOf } from '@lockstep/protocol';
import type { DataFormat } from '@lockstep/rules';
import { randomStream } from '@lockstep/tensor';
import type { ComputeSetup } from './compute.ts';

export interface NumericsCheck extends SampleBatch {
  /** All parameters in model order, little-endian float32; computed on each read, so that a run does not keep them. */
  readonly weights: Uint8Array;
}

/** Sampled reference gradient that a worker's must match. */
export interface ReferenceGradient {
  /** Values in the whole gradient. */
  readonly length: number;
  /** The gradient's values 0, `every`, 2 `every` and so on. */
  readonly values: Float32Array;
  readonly every: number;
}

/** Most values kept of a gradient: 4 MB. */
const mostReferenceValues = 2 ** 20;

/** Samples a gradient: keeps all values, or of a long gradient enough to represent every layer of its model. */
export function referenceOf(gradient: Float32Array): ReferenceGradient {
  const { length } = gradient;
  // An odd stride does not stay in one column of a matrix, whose width is usually even.
  const every = Math.ceil(length / mostReferenceValues) | 1;
  const values = Float32Array.from({ length: Math.ceil(length / every) }, (_, index) => gradient[index * every]!);
  return { length, values, every };
}

const numericsSeed = 0x70726f62;

/**
 * Returns the setup to compute the check with. For a run with inner steps that is the gradient of one inner step: a
 * replica's result has lost the gradient's last bits, which tell numeric modes apart.
 */
export function checkedSetup({ innerSteps, ...setup }: ComputeSetup): ComputeSetup {
  return innerSteps ? { ...setup, microbatchSize: innerSteps.batch } : setup;
}

/**
 * Creates a check of one and a half microbatches, so that it covers a run's shapes and one addition of the tree. Most
 * values are 0, as in handwriting. Every fourth sample has no zeros, so that both dense and sparse products run.
 * @param format bytes with classes by default
 */
export function createNumericsCheck(
  model: Model,
  microbatchSize: number,
  { sampleField, targetField = classField }: Partial<DataFormat> = {},
): NumericsCheck {
  const random = randomStream(numericsSeed);
  const size = sampleSize(model, targetField);
  const count = microbatchSize + Math.ceil(microbatchSize / 2);
  const samples = checkedSamples(sampleField, count * size, (index) => Math.floor(index / size) % 4 === 3, random);
  const outputs = outputCount(model);
  const targets =
    targetField.role === 'index'
      ? Uint16Array.from({ length: count }, () => Math.floor(outputs * random()))
      : targetField.role === 'next'
        ? new Uint8Array()
        : Float32Array.from({ length: count * sizeOfField(targetField) }, () => 2 * random() - 1);
  return {
    get weights() {
      return bytesOf(initialize(model, numericsSeed));
    },
    ...{ samples, targets, count },
  };
}

function checkedSamples(
  field: SampleField | undefined,
  length: number,
  isDense: (index: number) => boolean,
  random: () => number,
): SampleBatch['samples'] {
  if (field?.role === 'index') {
    const tokens = field.dtype === 'u8' ? new Uint8Array(length) : new Uint16Array(length);
    return tokens.map(() => Math.floor(field.tokens * random()));
  }
  const isBytes = field?.dtype !== 'f32';
  const samples = isBytes ? new Uint8Array(length) : new Float32Array(length);
  for (let index = 0; index < length; index++) {
    if (isDense(index) || random() < 0.2) samples[index] = isBytes ? Math.floor(256 * random()) : 2 * random() - 1;
  }
  return samples;
}

/** Largest difference attributable to another order of rounding, relative to the largest expected value. */
const tolerance = 1e-3;

/** Compares a worker's gradient of the check with the reference, chunk by chunk, as it arrives. */
export class NumericsComparison {
  readonly #reference: ReferenceGradient;
  /** Values received so far. */
  #length = 0;
  #worst = 0;

  constructor(reference: ReferenceGradient) {
    this.#reference = reference;
  }

  /** Compares the next values, little-endian float32 at any alignment. */
  add(bytes: Uint8Array): void {
    const { values, every } = this.#reference;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const end = this.#length + bytes.length / 4;
    for (let index = Math.ceil(this.#length / every); index * every < end && index < values.length; index++) {
      const got = view.getFloat32(4 * (index * every - this.#length), true);
      // Math.max keeps a NaN, whatever comes after it.
      this.#worst = Math.max(this.#worst, Math.abs(got - values[index]!));
    }
    this.#length = end;
  }

  /** Describes what is wrong with the complete gradient; undefined if only rounding differs. */
  fault(): string | undefined {
    const { length, values } = this.#reference;
    if (this.#length !== length) {
      return `numerics check: expected a gradient of ${length} values, got ${this.#length}`;
    }
    const most = tolerance * values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
    if (this.#worst <= most) return undefined;
    return `numerics check: this worker's gradient differs from the reference by ${this.#worst.toPrecision(2)}, more than rounding can explain (${most.toPrecision(2)}): its results are wrong`;
  }
}

/** Compares a gradient that has arrived completely. */
export function numericsFault(reference: ReferenceGradient, gradient: Uint8Array): string | undefined {
  const comparison = new NumericsComparison(reference);
  comparison.add(gradient);
  return comparison.fault();
}

export interface IncrementalHash {
  update(bytes: Uint8Array): unknown;
  /** May be called only once. */
  digest(encoding: 'hex'): string;
}

/** Creates a hash; each platform brings its own. */
export type NewHash = () => IncrementalHash;

/** Returns a function that hashes all of its bytes, in hex. */
export function hashWith(newHash: NewHash): (bytes: Uint8Array) => string {
  return (bytes) => {
    const hash = newHash();
    hash.update(bytes);
    return hash.digest('hex');
  };
}
