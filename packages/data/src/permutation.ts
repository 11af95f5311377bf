/** The order in which an epoch visits the samples: a function of the seed and the epoch alone. */
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';

const u32Max = 2 ** 32 - 1;

/**
 * A permutation of `0 … count - 1` (Fisher-Yates, Durstenfeld's form). Epoch e draws from the stream of the seed's
 * xoroshiro128+ generator after e + 1 jumps of 2^64, so that no two epochs of a run share a number; integer
 * arithmetic only, so every engine gives the same order.
 *
 * Throws RangeError unless `count` and `seed` fit u32 and `epoch` is a safe integer of at least 0.
 */
export function permutation(count: number, seed: number, epoch: number): Uint32Array<ArrayBuffer> {
  requireWhole('count', count, u32Max);
  requireWhole('seed', seed, u32Max);
  requireWhole('epoch', epoch, Number.MAX_SAFE_INTEGER);

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

function requireWhole(name: string, value: number, maximum: number): void {
  if (!Number.isSafeInteger(value) || value < 0 || value > maximum) {
    throw new RangeError(`permutation: expected ${name} from 0 to ${maximum}, got ${value}`);
  }
}
