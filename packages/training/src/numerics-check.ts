/** The fixed small problem by which a worker shows what arithmetic it has, and whether it computes right. */
import { initialize, inputSize, type Model, outputClasses } from '@lockstep/nn';
import { bytesOf } from '@lockstep/protocol';
import { xorshift32 } from './random.ts';

export interface NumericsCheck {
  /** All parameters in model order, little-endian float32. */
  readonly weights: Uint8Array;
  readonly pixels: Uint8Array;
  readonly labels: Uint8Array;
}

const numericsSeed = 0x70726f62;

/**
 * A full microbatch and half a microbatch, so that the shapes that a run meets, and one addition of the tree, are all in it. Like
 * handwriting, most pixels are 0; every fourth sample has none that is, so that dense and sparse products both run.
 */
export function createNumericsCheck(model: Model, microbatchSize: number): NumericsCheck {
  const random = xorshift32(numericsSeed);
  const size = inputSize(model);
  const count = microbatchSize + Math.ceil(microbatchSize / 2);
  const pixels = new Uint8Array(count * size);
  for (let index = 0; index < pixels.length; index++) {
    const value = random();
    const isDense = Math.floor(index / size) % 4 === 3;
    if (isDense || value >>> 24 < 51) pixels[index] = value & 255;
  }
  const classes = outputClasses(model);
  const labels = Uint8Array.from({ length: count }, () => (random() >>> 8) % classes);
  return { weights: bytesOf(initialize(model, numericsSeed)), pixels, labels };
}

/** The largest difference, relative to the largest expected value, that rounding in another order can explain. */
const tolerance = 1e-3;

/** One sentence saying what is wrong with a worker's probe gradient, or undefined where only rounding differs. */
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
