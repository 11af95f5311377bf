/** Random values computed in JavaScript, for backends without a kernel for them. */
import type { RandomCall } from '../backend.ts';
import { philox, unitFloat } from '../random.ts';
import type { Placed } from './operands.ts';

/** Truncates a float32 and clamps it to the range of unsigned 32-bit integers. */
function toUint32(value: number): number {
  return Math.trunc(Math.min(Math.max(Number.isNaN(value) ? 0 : value, 0), 0xffffffff)) >>> 0;
}

/** Computes a `RandomCall`. */
export function fillRandom({ rows, columns, stream, ...places }: Placed<RandomCall, Float32Array>): void {
  const { key, samples, output } = places;
  const part = (index: number): number => toUint32(key[index]!);
  const [seed, step] = [(part(0) | (part(1) << 16)) >>> 0, (part(2) | (part(3) << 16)) >>> 0];
  const words = new Uint32Array(4);
  for (let row = 0; row < rows; row++) {
    const sample = toUint32(samples[row]!);
    for (let column = 0; column < columns; column++) {
      if (column % 4 === 0) philox(words, [column / 4, sample, step, 0], [seed, stream]);
      output[row * columns + column] = unitFloat(words[column % 4]!);
    }
  }
}
