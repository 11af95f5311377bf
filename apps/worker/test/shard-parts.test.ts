/** The order in which threads' vectors are added, spelled out and held against the tree's definition. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { additionsOf, partsOf, treeOf } from '../src/parts.ts';

/** The sum over a node as the tree's definition has it: `((0+1)+2)`. An empty right half microbatches the left as it is. */
function sumOf(lo: number, n: number, used: number): string {
  if (n === 1) return `${lo}`;
  const left = sumOf(lo, n / 2, used);
  return lo + n / 2 < used ? `(${left}+${sumOf(lo + n / 2, n / 2, used)})` : left;
}

it('is that of the tree, for any number of samples and threads, and everybody has a contiguous share', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 3000 }),
      fc.integer({ min: 1, max: 64 }),
      fc.integer({ min: 1, max: 9 }),
      (samples, microbatchSize, threads) => {
        const { used, root } = treeOf(samples, microbatchSize);
        const parts = partsOf(used, root, threads);
        let next = 0;
        for (const { shard, thread } of parts) {
          expect(shard.lo).toBe(next);
          expect(shard.lo).toBeLessThan(used);
          expect(thread).toBeLessThan(threads);
          next = shard.lo + shard.n;
        }
        expect(next).toBeGreaterThanOrEqual(used);
        expect(parts.map(({ thread }) => thread)).toEqual(parts.map(({ thread }) => thread).sort((a, b) => a - b));

        const sums = parts.map(({ shard }) => sumOf(shard.lo, shard.n, used));
        for (const { left, right } of additionsOf(parts, root, used)) sums[left] = `(${sums[left]}+${sums[right]})`;
        expect(sums[0]).toBe(sumOf(root.lo, root.n, used));
      },
    ),
    { seed: 3, numRuns: 300 },
  );
});

it('takes one thread no addition, and two halves one', () => {
  const { used, root } = treeOf(96, 32);
  expect({ used, root }).toEqual({ used: 3, root: { lo: 0, n: 4 } });
  expect(additionsOf(partsOf(used, root, 1), root, used)).toEqual([]);
  expect(partsOf(used, root, 2)).toEqual([
    { shard: { lo: 0, n: 2 }, thread: 0 },
    { shard: { lo: 2, n: 2 }, thread: 1 },
  ]);
  expect(additionsOf(partsOf(used, root, 2), root, used)).toEqual([{ left: 0, right: 1 }]);
});
