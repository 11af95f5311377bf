import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  halvesOf,
  nextPowerOfTwo,
  parentOf,
  type Shard,
  shardKey,
  shardsOfRange,
  shardText,
  siblingOf,
} from '../src/tree.ts';

const range = fc
  .tuple(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 300 }))
  .map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const);

const shard: fc.Arbitrary<Shard> = fc
  .tuple(fc.integer({ min: 0, max: 12 }), fc.integer({ min: 0, max: 1_000 }))
  .map(([exponent, index]) => ({ lo: index * 2 ** exponent, n: 2 ** exponent }));

const contains = (outer: Shard, inner: Shard): boolean =>
  inner.lo >= outer.lo && inner.lo + inner.n <= outer.lo + outer.n;

/** Computes the fewest aligned shards that cover `from .. to - 1`, by dynamic programming over the end of the range. */
function fewestShards(from: number, to: number): number {
  const fewest: number[] = [0];
  for (let end = from + 1; end <= to; end++) {
    let best = Number.POSITIVE_INFINITY;
    for (let n = 1; end - n >= from; n *= 2) {
      if ((end - n) % n === 0) best = Math.min(best, 1 + fewest[end - n - from]!);
    }
    fewest.push(best);
  }
  return fewest[to - from]!;
}

it('shardsOfRange gives the fewest nodes of the tree that cover the range, from left to right', () => {
  expect(shardsOfRange(5, 5)).toEqual([]);
  fc.assert(
    fc.property(range, ([from, to]) => {
      const shards = shardsOfRange(from, to);
      let next = from;
      for (const { lo, n } of shards) {
        expect(lo).toBe(next);
        next = lo + n;
        expect(nextPowerOfTwo(n)).toBe(n);
        expect(lo % n).toBe(0);
      }
      expect(next).toBe(Math.max(from, to));
      expect(shards).toHaveLength(fewestShards(from, to));
    }),
  );
});

describe('a shard', () => {
  it('and its sibling are the halves of their parent, left first, and share no microbatch', () => {
    fc.assert(
      fc.property(shard, (node) => {
        const sibling = siblingOf(node);
        const inOrder = node.lo < sibling.lo ? [node, sibling] : [sibling, node];
        expect(halvesOf(parentOf(node))).toEqual(inOrder);
        expect(siblingOf(sibling)).toEqual(node);
        expect(parentOf(sibling)).toEqual(parentOf(node));
        expect(contains(parentOf(node), node)).toBe(true);
        expect(contains(node, parentOf(node))).toBe(false);
        expect(contains(node, sibling)).toBe(false);
      }),
    );
  });

  it('has a key that no other shard has', () => {
    fc.assert(
      fc.property(shard, shard, (a, b) => {
        expect(shardKey(a) === shardKey(b)).toBe(a.lo === b.lo && a.n === b.n);
      }),
    );
  });
});

it('nextPowerOfTwo is the smallest power of two that is at least the value, and at least 1', () => {
  expect(nextPowerOfTwo(0)).toBe(1);
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 30 }), (value) => {
      const power = nextPowerOfTwo(value);
      expect(Math.log2(power) % 1).toBe(0);
      expect(power).toBeGreaterThanOrEqual(value);
      expect(power / 2).toBeLessThan(value);
    }),
  );
});

it.each([
  [{ lo: 2, n: 1 }, 'microbatch 2'],
  [{ lo: 0, n: 4 }, 'microbatches 0 to 3'],
])('%j in words is %s', (shard, text) => {
  expect(shardText(shard)).toBe(text);
});
