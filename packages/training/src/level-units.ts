/** The units in which a step's gradient is counted, a power of two for each block of values, known before the step. */
import { blockLength } from '@lockstep/protocol';

/** A block's largest value in the step before is at most 2^6 levels: there is room for twice as much, up to 127. */
const usedBits = 6;
/** A block's unit is no less than 2^-12 of the largest block's, so that values which were 0 find the way back soon. */
const mostBelow = 12;
const [least, most] = [-100, 100];

const scratch = new Float32Array(1);
const scratchBits = new Int32Array(scratch.buffer);

/**
 * Exponents of the units of a step, one for each block of 64 values, from the sum of the step before and its exponents.
 * A unit falls by half in a step at most: one small gradient does not cut off the next.
 */
export function nextExponents(root: Float32Array, size: number, before?: Int8Array): Int8Array<ArrayBuffer> {
  const exponents = new Int8Array(Math.ceil(size / blockLength));
  let top = least;
  for (let block = 0; block < exponents.length; block++) {
    const needed = exponentFor(largestOf(root, block * blockLength, Math.min(size, (block + 1) * blockLength)));
    exponents[block] = Math.max(needed, (before?.[block] ?? least + 1) - 1);
    top = Math.max(top, exponents[block]!);
  }
  return exponents.map((exponent) => Math.max(exponent, top - mostBelow));
}

/** The unit of each of `size` values. */
export function unitsOf(exponents: Int8Array, size: number): Float32Array {
  const units = new Float32Array(size);
  for (let block = 0; block < exponents.length; block++) {
    units.fill(powerOfTwo(exponents[block]!), block * blockLength, (block + 1) * blockLength);
  }
  return units;
}

function largestOf(values: Float32Array, from: number, to: number): number {
  let largest = 0;
  for (let index = from; index < to; index++) largest = Math.max(largest, Math.abs(values[index]!));
  return largest;
}

/** The least exponent of a unit of which the value is at most 2^6. Read from its bits: engines round logarithms. */
function exponentFor(value: number): number {
  scratch[0] = value;
  const exponent = (scratchBits[0]! >>> 23) - 127 + ((scratchBits[0]! & 0x7f_ffff) === 0 ? 0 : 1);
  return Math.min(most, Math.max(least, exponent - usedBits));
}

function powerOfTwo(exponent: number): number {
  scratchBits[0] = (exponent + 127) << 23;
  return scratch[0]!;
}
