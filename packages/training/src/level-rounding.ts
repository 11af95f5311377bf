/** Rounding to whole levels of a unit, from -127 to 127: as formulas for backends, and in plain loops. */
import type { RandomKey } from '@lockstep/nn';
import { apply, type Formula, philox } from '@lockstep/tensor';

const largestLevel = 127;
/** Added and subtracted, it rounds a float32 below 2^22 to a whole number, ties to even. */
const wholeAnchor = 1.5 * 2 ** 23;
/** Keeps the shifts apart from the random numbers of the model's layers. */
const stream = 0x6c65_7665;
/** 2^32 over the golden ratio, odd: multiples of it are spread evenly over the 32-bit words. */
const spread = 0x9e37_79b1;

const { fround } = Math;

/**
 * The sum over a microbatch in whole levels of `unit`, times it: x / unit rounded up or down at random, so that it is
 * kept on average, or the last level. NaN where x is not finite.
 * @param place and `shift`: two parts of the random number, each from 0 to below 1, of this value and of this microbatch
 */
export function levelFormula(x: Formula, unit: Formula, place: Formula, shift: Formula): Formula {
  const sum = apply('add', place, shift);
  const offset = apply('sub', apply('sub', sum, apply('greaterEqual', sum, 1)), 0.5);
  const level = bounded(apply('div', x, unit), apply('add', 0, largestLevel + 1));
  const whole = apply('sub', apply('add', apply('add', level, offset), wholeAnchor), wholeAnchor);
  const rounded = apply('mul', bounded(whole, apply('add', 0, largestLevel)), unit);
  // 0 for every finite number, which also takes its sign from 0.
  return apply('add', rounded, apply('sub', x, x));
}

/** The sum of two nodes: levels add up to whole levels, so that nothing is rounded but what is beyond the last level. */
export function levelSumFormula(sum: Formula, unit: Formula): Formula {
  return apply('add', bounded(sum, apply('mul', unit, largestLevel)), 0);
}

function bounded(value: Formula, most: Formula): Formula {
  return apply('maximum', apply('minimum', value, most), apply('neg', most));
}

/** `levelFormula` of each value, in place. @param units [values] */
export function roundToLevels(values: Float32Array, units: Float32Array, key: RandomKey): void {
  const shift = shiftOf(key);
  for (let index = 0; index < values.length; index++) {
    const [value, unit] = [values[index]!, units[index]!];
    const sum = fround(placeOf(index) + shift);
    const offset = fround(sum - (sum >= 1 ? 1 : 0) - 0.5);
    const level = within(fround(value / unit), largestLevel + 1);
    const whole = fround(fround(fround(level + offset) + wholeAnchor) - wholeAnchor);
    values[index] = within(whole, largestLevel) * unit + (value - value);
  }
}

/** `levelSumFormula` of each value, in place. */
export function boundLevels(sums: Float32Array, units: Float32Array): void {
  for (let index = 0; index < sums.length; index++)
    sums[index] = within(sums[index]!, largestLevel * units[index]!) + 0;
}

function within(value: number, most: number): number {
  return Math.max(-most, Math.min(value, most));
}

/** Of each value of a vector: the same in every microbatch. */
export function places(length: number): Float32Array {
  return Float32Array.from({ length }, (_, index) => placeOf(index));
}

function placeOf(index: number): number {
  return (Math.imul(index, spread) >>> 8) * 2 ** -24;
}

const block = new Uint32Array(4);

/** Of a microbatch, whose key has the position of its first sample: the same for all of its values. */
export function shiftOf({ seed, step, firstSample }: RandomKey): number {
  philox(block, [firstSample, step, 0, 0], [seed, stream]);
  return (block[0]! >>> 8) * 2 ** -24;
}
