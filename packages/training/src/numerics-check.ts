/** A fixed small gradient that every worker computes when it joins: it shows the numeric mode, and wrong results. */
import { initialize, inputSize, type Model, outputClasses } from '@lockstep/nn';
import { bytesOf } from '@lockstep/protocol';
import { randomStream } from '@lockstep/tensor';

export interface NumericsCheck {
  /** All parameters in model order, little-endian float32. */
  readonly weights: Uint8Array;
  readonly pixels: Uint8Array;
  readonly labels: Uint8Array;
}

const numericsSeed = 0x70726f62;

/**
 * One and a half microbatches, so that the shapes of a run and one addition of the tree are in it. Most pixels are 0, as
 * in handwriting; every fourth sample has no zeros, so that dense and sparse products both run.
 */
export function createNumericsCheck(model: Model, microbatchSize: number): NumericsCheck {
  const random = randomStream(numericsSeed);
  const size = inputSize(model);
  const count = microbatchSize + Math.ceil(microbatchSize / 2);
  const pixels = new Uint8Array(count * size);
  for (let index = 0; index < pixels.length; index++) {
    const isDense = Math.floor(index / size) % 4 === 3;
    if (isDense || random() < 0.2) pixels[index] = Math.floor(256 * random());
  }
  const classes = outputClasses(model);
  const labels = Uint8Array.from({ length: count }, () => Math.floor(classes * random()));
  return { weights: bytesOf(initialize(model, numericsSeed)), pixels, labels };
}

/** The largest difference that rounding in another order explains, relative to the largest expected value. */
const tolerance = 1e-3;

/** What is wrong with a worker's gradient of the check; undefined where only rounding differs. */
export function numericsFault(expected: Float32Array, got: Float32Array): string | undefined {
  if (got.length !== expected.length) {
    return `numerics check: expected a gradient of ${expected.length} values, got ${got.length}`;
  }
  let largest = 0;
  let worst = 0;
  for (let index = 0; index < expected.length; index++) {
    // A NaN stays the worst of all, whatever comes after it.
    worst = Math.max(worst, Math.abs(got[index]! - expected[index]!));
    largest = Math.max(largest, Math.abs(expected[index]!));
  }
  if (worst <= tolerance * largest) return undefined;
  return `numerics check: this worker's gradient differs from the reference by ${worst.toPrecision(2)}, at most ${(tolerance * largest).toPrecision(2)} can be rounding: it computes wrongly`;
}
