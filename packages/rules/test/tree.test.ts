import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { halvesOf, nextPowerOfTwo, parentOf, type Shard, shardKey, shardsOfRange, siblingOf } from '../src/tree.ts';

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

describe('shardsOfRange', () => {
  it('covers each microbatch of the range once, from left to right', () => {
    fc.assert(
      fc.property(range, ([from, to]) => {
        let next = from;
        for (const { lo, n } of shardsOfRange(from, to)) {
          expect(lo).toBe(next);
          next = lo + n;
        }
        expect(next).toBe(Math.max(from, to));
      }),
    );
  });

  it('gives only nodes of the tree: n is a power of two that divides lo', () => {
    fc.assert(
      fc.property(range, ([from, to]) => {
        for (const { lo, n } of shardsOfRange(from, to)) {
          expect(nextPowerOfTwo(n)).toBe(n);
          expect(lo % n).toBe(0);
        }
      }),
    );
  });

  it('gives the fewest shards that cover the range', () => {
    fc.assert(
      fc.property(range, ([from, to]) => {
        expect(shardsOfRange(from, to)).toHaveLength(fewestShards(from, to));
      }),
    );
  });

  it('gives no shard for an empty range', () => {
    expect(shardsOfRange(5, 5)).toEqual([]);
  });
});

describe('a shard', () => {
  it('and its sibling are the halves of their parent, left first', () => {
    fc.assert(
      fc.property(shard, (node) => {
        const sibling = siblingOf(node);
        const inOrder = node.lo < sibling.lo ? [node, sibling] : [sibling, node];
        expect(halvesOf(parentOf(node))).toEqual(inOrder);
        expect(siblingOf(sibling)).toEqual(node);
        expect(parentOf(sibling)).toEqual(parentOf(node));
      }),
    );
  });

  it('lies within its parent, and shares no microbatch with its sibling', () => {
    fc.assert(
      fc.property(shard, (node) => {
        expect(contains(parentOf(node), node)).toBe(true);
        expect(contains(node, parentOf(node))).toBe(false);
        expect(contains(node, siblingOf(node))).toBe(false);
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

describe('nextPowerOfTwo', () => {
  it('is the smallest power of two that is at least the value', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 30 }), (value) => {
        const power = nextPowerOfTwo(value);
        expect(Math.log2(power) % 1).toBe(0);
        expect(power).toBeGreaterThanOrEqual(value);
        expect(power / 2).toBeLessThan(value);
      }),
    );
  });

  it('is at least 1', () => {
    expect(nextPowerOfTwo(0)).toBe(1);
  });
});
