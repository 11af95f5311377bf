/** Random numbers with the same bits on every engine: Philox for keys, normal values, and a seeded stream. */
import { log64 } from './formula.ts';

// Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (2011).

const rounds = 10;
const [multiplier0, multiplier1] = [0xd2511f53, 0xcd9e8d57];
const [keyStep0, keyStep1] = [0x9e3779b9, 0xbb67ae85];

/** Returns the upper 32 bits of the product of two unsigned 32-bit integers. */
function multiplyHigh(left: number, right: number): number {
  const [leftLow, leftHigh] = [left & 0xffff, left >>> 16];
  const [rightLow, rightHigh] = [right & 0xffff, right >>> 16];
  const middle = leftHigh * rightLow + ((leftLow * rightLow) >>> 16);
  const carried = leftLow * rightHigh + (middle & 0xffff);
  return leftHigh * rightHigh + Math.floor(middle / 65536) + Math.floor(carried / 65536);
}

/**
 * Writes the four 32-bit words of block `counter` under `key` into `result`.
 * All are unsigned 32-bit integers; different counters give independent bits.
 */
export function philox(
  result: Uint32Array,
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
): void {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < rounds; round++) {
    const [high0, low0] = [multiplyHigh(multiplier0, c0), Math.imul(multiplier0, c0)];
    const [high1, low1] = [multiplyHigh(multiplier1, c2), Math.imul(multiplier1, c2)];
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c1 = low1 >>> 0;
    c3 = low0 >>> 0;
    k0 = (k0 + keyStep0) >>> 0;
    k1 = (k1 + keyStep1) >>> 0;
  }
  result[0] = c0;
  result[1] = c1;
  result[2] = c2;
  result[3] = c3;
}

/** Converts the upper 24 bits of a word to a float32 in [0, 1). */
export function unitFloat(word: number): number {
  return (word >>> 8) * 2 ** -24;
}

// Wichura, "Algorithm AS 241: the percentage points of the normal distribution" (1988), without the far-tail region,
// which probabilities of at least 2^-34 do not reach.

const centralNumerator = [
  2509.0809287301227, 33430.57558358813, 67265.7709270087, 45921.95393154987, 13731.69376550946, 1971.5909503065513,
  133.14166789178438, 3.3871328727963665,
];
const centralDenominator = [
  5226.495278852854, 28729.085735721943, 39307.89580009271, 21213.794301586597, 5394.196021424751, 687.1870074920579,
  42.31333070160091, 1,
];
const tailNumerator = [
  0.0007745450142783414, 0.022723844989269184, 0.2417807251774506, 1.2704582524523684, 3.6478483247632045,
  5.769497221460691, 4.630337846156546, 1.4234371107496835,
];
const tailDenominator = [
  1.0507500716444169e-9, 0.0005475938084995345, 0.015198666563616457, 0.14810397642748008, 0.6897673349851,
  1.6763848301838038, 2.053191626637759, 1,
];

function ratio(numerator: readonly number[], denominator: readonly number[], x: number): number {
  let [above, below] = [0, 0];
  for (let index = 0; index < numerator.length; index++) {
    above = above * x + numerator[index]!;
    below = below * x + denominator[index]!;
  }
  return above / below;
}

/** Returns the quantile of a standard normal variable for `probability` in [2^-34, 1 - 2^-34]. */
export function normalQuantile(probability: number): number {
  const fromCenter = probability - 0.5;
  if (Math.abs(fromCenter) <= 0.425) {
    return fromCenter * ratio(centralNumerator, centralDenominator, 0.180625 - fromCenter * fromCenter);
  }
  const tail = fromCenter < 0 ? probability : 1 - probability;
  const value = ratio(tailNumerator, tailDenominator, Math.sqrt(-log64(tail)) - 1.6);
  return fromCenter < 0 ? -value : value;
}

/** Returns a generator of numbers in [0, 1), the same on every engine (mulberry32, by Tommy Ettinger). */
export function randomStream(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
