import fc from 'fast-check';
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import type { RandomGenerator } from 'pure-rand/types/RandomGenerator';
import { describe, expect, it } from 'vitest';
import { shuffledIndices } from '../src/order.ts';

/** Shuffles in the same way with pure-rand's `uniformInt`. */
function shuffledByUniformInt(count: number, generator: RandomGenerator): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, index) => index);
  for (let last = count - 1; last > 0; last -= 1) {
    const chosen = uniformInt(generator, 0, last);
    [order[chosen], order[last]] = [order[last]!, order[chosen]!];
  }
  return order;
}

/** Returns a generator that gives the numbers of `first` before its own. */
function beginningWith(first: readonly number[], seed: number): RandomGenerator {
  const generator = xoroshiro128plus(seed);
  const numbers = first.values();
  return Object.assign(generator.clone(), { next: () => numbers.next().value ?? generator.next() });
}

describe('shuffled indices', () => {
  // Nearly every count rejects the highest numbers, which a generator rarely gives.
  const highest = fc.integer({ min: 2 ** 31 - 100, max: 2 ** 31 - 1 });
  const drawn = fc.array(fc.oneof(highest, fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })), { maxLength: 400 });

  it("are in the order of pure-rand's uniformInt, and leave the generator where that does", () => {
    let rejections = 0;
    fc.assert(
      fc.property(fc.nat(500), drawn, fc.nat(), (count, first, seed) => {
        const [ours, theirs] = [beginningWith(first, seed), beginningWith(first, seed)];
        let draws = 0;
        const next = (): number => {
          draws += 1;
          return ours.next();
        };
        const counted = Object.assign(ours.clone(), { next });
        expect(shuffledIndices(count, counted)).toEqual(shuffledByUniformInt(count, theirs));
        expect(ours.next()).toBe(theirs.next());
        rejections += draws - Math.max(0, count - 1);
      }),
    );
    expect(rejections).toBeGreaterThan(0);
  });
});
