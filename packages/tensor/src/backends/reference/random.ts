/** Random values as a function of seed, step, sample and place. */
import type { RandomCall } from '../../backend.ts';
import { philox, unitFloat } from '../../philox.ts';
import { valuesOf } from './storage.ts';

/** The whole part of a float32, cut to the unsigned 32-bit integers. */
function whole(value: number): number {
  return Math.trunc(Math.min(Math.max(Number.isNaN(value) ? 0 : value, 0), 0xffffffff)) >>> 0;
}

export function prepareRandom({ rows, columns, stream, ...storages }: RandomCall): () => void {
  const key = valuesOf(storages.key);
  const samples = valuesOf(storages.samples);
  const output = valuesOf(storages.output);
  const words = new Uint32Array(4);
  return () => {
    const [seedLow, seedHigh, stepLow, stepHigh] = Array.from(key.subarray(0, 4), whole) as [
      number,
      number,
      number,
      number,
    ];
    const seed = (seedLow | (seedHigh << 16)) >>> 0;
    const step = (stepLow | (stepHigh << 16)) >>> 0;
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        if (column % 4 === 0) philox(words, [column / 4, whole(samples[row]!), step, 0], [seed, stream]);
        output[row * columns + column] = unitFloat(words[column % 4]!);
      }
    }
  };
}
