/** Random bits as a function of a counter: Philox 4x32-10. */

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
