/** A random order, the same on every engine. */
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import type { RandomGenerator } from 'pure-rand/types/RandomGenerator';

/** A permutation of `0 … count - 1` (Fisher-Yates, Durstenfeld's form), drawn from `generator`, which moves on. */
export function shuffledIndices(count: number, generator: RandomGenerator): Uint32Array<ArrayBuffer> {
  const order = Uint32Array.from({ length: count }, (_, index) => index);
  for (let last = count - 1; last > 0; last -= 1) {
    const chosen = uniformInt(generator, 0, last);
    const sample = order[chosen]!;
    order[chosen] = order[last]!;
    order[last] = sample;
  }
  return order;
}
