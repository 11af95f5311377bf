/** A random order that is the same on every engine. */
import type { RandomGenerator } from 'pure-rand/types/RandomGenerator';

/** Draws a permutation of `0 … count - 1` (Fisher-Yates, Durstenfeld's version) from `generator`, which advances. */
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
 * Draws uniformly from `0 … count - 1`, for counts from 2 to 2^32. Gives the same numbers as pure-rand's `uniformInt`,
 * but in integers alone: its floating-point remainder takes most of its time.
 */
function drawBelow(count: number, generator: RandomGenerator): number {
  for (;;) {
    const drawn = (generator.next() ^ 0x80000000) >>> 0;
    const rest = drawn % count;
    // Reject the last partial block, to avoid modulo bias.
    if (drawn - rest + count <= 2 ** 32) return rest;
  }
}
