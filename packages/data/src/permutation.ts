/** The order in which an epoch visits the samples: a function of the seed and the epoch alone. */
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { checkWhole } from './check-whole.ts';

const u32Max = 2 ** 32 - 1;

/**
 * A permutation of `0 … count - 1` (Fisher-Yates, Durstenfeld's form). Epoch e draws from the stream of the seed's
 * xoroshiro128+ generator after e + 1 jumps of 2^64: no two epochs of a run share a number, and integer arithmetic
 * gives every engine the same order.
 *
 * Throws RangeError unless `count` and `seed` fit u32 and `epoch` is a safe integer of at least 0.
 */
export function permutation(count: number, seed: number, epoch: number): Uint32Array<ArrayBuffer> {
  checkWhole('count', count, 0, u32Max);
  checkWhole('seed', seed, 0, u32Max);
  checkWhole('epoch', epoch, 0);

  const generator = xoroshiro128plus(seed);
  for (let jump = 0; jump <= epoch; jump += 1) generator.jump();

  const order = Uint32Array.from({ length: count }, (_, index) => index);
  for (let last = count - 1; last > 0; last -= 1) {
    const chosen = uniformInt(generator, 0, last);
    const sample = order[chosen]!;
    order[chosen] = order[last]!;
    order[last] = sample;
  }
  return order;
}
