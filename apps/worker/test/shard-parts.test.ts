/** The nodes that threads compute, and the tree over them. */
import { type Shard, TreeReduction } from '@lockstep/training';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { partsOf, type ShardParts } from '../src/shard-parts.ts';

/** The sum over a node by the definition of the tree, as `((0+1)+2)`. An empty right half leaves the left as it is. */
function sumOf(lo: number, n: number, used: number): string {
  if (n === 1) return `${lo}`;
  const left = sumOf(lo, n / 2, used);
  return lo + n / 2 < used ? `(${left}+${sumOf(lo + n / 2, n / 2, used)})` : left;
}

/** The sum of the parts, and the node whose buffer it ends in, as the threads add them. */
function reduce({ root, usedMicrobatches, parts }: ShardParts) {
  const reduction = new TreeReduction<{ readonly sum: string; readonly first: Shard }>({
    root,
    usedMicrobatches,
    combine: (left, right) => ({ sum: `(${left.sum}+${right.sum})`, first: left.first }),
  });
  const sums = parts.map(({ shard }) =>
    reduction.add(shard, { sum: sumOf(shard.lo, shard.n, usedMicrobatches), first: shard }),
  );
  return sums.at(-1);
}

it('are contiguous shares of the threads, and add up as the tree does, for any number of samples and threads', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 3000 }),
      fc.integer({ min: 1, max: 64 }),
      fc.integer({ min: 1, max: 9 }),
      (samples, microbatchSize, threads) => {
        const cut = partsOf(samples, microbatchSize, threads);
        const { root, usedMicrobatches: used, parts } = cut;
        let next = 0;
        for (const { shard, thread } of parts) {
          expect(shard.lo).toBe(next);
          expect(shard.lo).toBeLessThan(used);
          expect(thread).toBeLessThan(threads);
          next = shard.lo + shard.n;
        }
        expect(next).toBeGreaterThanOrEqual(used);
        expect(parts.map(({ thread }) => thread)).toEqual(parts.map(({ thread }) => thread).sort((a, b) => a - b));
        expect(reduce(cut)).toEqual({ sum: sumOf(root.lo, root.n, used), first: parts[0]!.shard });
      },
    ),
    { seed: 3, numRuns: 300 },
  );
});

it('are the whole shard for one thread, and its halves for two', () => {
  const root = { lo: 0, n: 4 };
  expect(partsOf(96, 32, 1)).toEqual({ root, usedMicrobatches: 3, parts: [{ shard: root, thread: 0 }] });
  expect(partsOf(96, 32, 2).parts).toEqual([
    { shard: { lo: 0, n: 2 }, thread: 0 },
    { shard: { lo: 2, n: 2 }, thread: 1 },
  ]);
});
