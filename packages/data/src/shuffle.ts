/** A random order, the same on every engine. */
import type { RandomGenerator } from 'pure-rand/types/RandomGenerator';

/** A permutation of `0 … count - 1` (Fisher-Yates, Durstenfeld's form), drawn from `generator`, which moves on. */
export function shuffledIndices(count: number, generator: RandomGenerator): Uint32Array<ArrayBuffer> {
  const order = new Uint32Array(count);
  for (let index = 0; index < count; index += 1) order[index] = index;
  for (let last = count - 1; last > 0; last -= 1) {
    const chosen = drawBelow(last + 1, generator);
    const sample = order[chosen]!;
    order[chosen] = order[last]!;
    order[last] = sample;
  }
  return order;
}

/**
 * Uniform in `0 … count - 1`, for 2 to 2^32: the numbers that pure-rand's `uniformInt` draws, in integers alone, since
 * its remainder of floats takes most of its time.
 */
function drawBelow(count: number, generator: RandomGenerator): number {
  for (;;) {
    const drawn = (generator.next() ^ 0x80000000) >>> 0;
    const rest = drawn % count;
    // Of the last block, which 2^32 cuts short, none is taken.
    if (drawn - rest + count <= 2 ** 32) return rest;
  }
}
