/** IEEE 754 half precision, rounded to nearest, ties to even; not every engine in use has `Float16Array`. */

/** The value of each of the 65,536 halves. */
export function float16Values(): Float32Array {
  const values = new Float32Array(65_536);
  for (let half = 0; half < 65_536; half++) {
    const sign = half & 0x8000 ? -1 : 1;
    const exponent = (half >> 10) & 31;
    const fraction = half & 1023;
    if (exponent === 31) values[half] = fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
    else if (exponent === 0) values[half] = sign * fraction * 2 ** -24;
    else values[half] = sign * (1024 + fraction) * 2 ** (exponent - 25);
  }
  return values;
}

const scratch = new Float32Array(1);
const scratchBits = new Int32Array(scratch.buffer);

/** Rounds `values` into `halves`; false, with `halves` unspecified, where one is not finite or rounds to infinity. */
export function toFloat16(values: Float32Array, halves: Uint16Array): boolean {
  const bits = new Int32Array(values.buffer, values.byteOffset, values.length);
  for (let index = 0; index < bits.length; index++) {
    const word = bits[index]!;
    const sign = (word >>> 16) & 0x8000;
    const size = word & 0x7fff_ffff;
    if (size >= 0x477f_f000) return false;
    if (size < 0x3880_0000) {
      // Below 2^-14 a half is a multiple of 2^-24: adding 0.5, whose last bit is that, rounds as the float adder does.
      scratchBits[0] = size;
      scratch[0] = scratch[0]! + 0.5;
      halves[index] = sign | (scratchBits[0]! - 0x3f00_0000);
    } else {
      // The exponent's bias goes from 127 to 15; half a last bit less 1, and the last bit itself, round to even.
      halves[index] = sign | ((size - 0x3800_0000 + 0xfff + ((size >>> 13) & 1)) >>> 13);
    }
  }
  return true;
}
