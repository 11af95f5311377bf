import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TreeReduction } from '../src/tree-sum.ts';
import { arrivals, type TreeCase, treeCase, treeText } from './random-shards.ts';

/** Reduces texts, each of which must be the sum of the node that it is given for. */
function symbolicReduction({ root, usedMicrobatches }: Omit<TreeCase, 'seed'>): TreeReduction<string> {
  return new TreeReduction({
    root,
    usedMicrobatches,
    combine(left, right, parent) {
      const sum = `(${left}+${right})`;
      expect(sum).toBe(treeText(parent, usedMicrobatches));
      return sum;
    },
  });
}

describe('a tree reduction', () => {
  it('combines by the recursive definition, whatever the shards and their order of arrival', () => {
    fc.assert(
      fc.property(treeCase, (tree) => {
        const reduction = symbolicReduction(tree);
        const results = arrivals(tree).map((shard) => reduction.add(shard, treeText(shard, tree.usedMicrobatches)));
        // The root's value comes with the last shard, and not before.
        expect(results.slice(0, -1).every((result) => result === undefined)).toBe(true);
        expect(results.at(-1)).toBe(treeText(tree.root, tree.usedMicrobatches));
      }),
      { numRuns: 500 },
    );
  });

  it.each([
    { usedMicrobatches: 4, arrival: [3, 1, 0, 2], sum: '((0+1)+(2+3))' },
    { usedMicrobatches: 3, arrival: [2, 0, 1], sum: '((0+1)+2)' },
    { usedMicrobatches: 2, arrival: [1, 0], sum: '(0+1)' },
    { usedMicrobatches: 1, arrival: [0], sum: '0' },
  ])('of microbatches $arrival, in this order, is $sum', ({ usedMicrobatches, arrival, sum }) => {
    const reduction = symbolicReduction({ root: { lo: 0, n: 4 }, usedMicrobatches });
    const results = arrival.map((lo) => reduction.add({ lo, n: 1 }, `${lo}`));
    expect(results.at(-1)).toBe(sum);
  });
});
