/** The order in which an epoch visits the samples, determined by the seed and the epoch alone. */
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { checkWhole } from './check-whole.ts';
import { shuffledIndices } from './shuffle.ts';

const u32Max = 2 ** 32 - 1;

/**
 * Returns a permutation of `0 … count - 1`.
 * Epoch e draws from the seed's xoroshiro128+ stream after e + 1 jumps of 2^64, so no two epochs of a run share a
 * number. Integer arithmetic gives every engine the same order.
 * @throws RangeError unless `count` and `seed` fit u32 and `epoch` is a safe integer of at least 0
 */
export function permutation(count: number, seed: number, epoch: number): Uint32Array<ArrayBuffer> {
  checkWhole('count', count, 0, u32Max);
  checkWhole('seed', seed, 0, u32Max);
  checkWhole('epoch', epoch, 0);

  const generator = xoroshiro128plus(seed);
  for (let jump = 0; jump <= epoch; jump += 1) generator.jump();
  return shuffledIndices(count, generator);
}
