import type { Shard } from '@lockstep/rules';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { halvesOf } from '../../rules/src/tree.ts';
import { TreeReduction } from '../src/tree-sum.ts';
import { arrivals, treeCase } from './random-shards.ts';

/** Writes a node's sum as an expression, by the tree's definition: `((0+1)+2)` for three used microbatches of four. */
function definition(node: Shard, usedMicrobatches: number): string {
  if (node.n === 1) return `${node.lo}`;
  const [left, right] = halvesOf(node);
  if (right.lo >= usedMicrobatches) return definition(left, usedMicrobatches);
  return `(${definition(left, usedMicrobatches)}+${definition(right, usedMicrobatches)})`;
}

function symbolicReduction(root: Shard, usedMicrobatches: number): TreeReduction<string> {
  return new TreeReduction({ root, usedMicrobatches, combine: (left, right) => `(${left}+${right})` });
}

describe('a tree reduction', () => {
  it('combines by the recursive definition, whatever the shards and their order of arrival', () => {
    fc.assert(
      fc.property(treeCase, (tree) => {
        const { root, usedMicrobatches } = tree;
        const reduction = symbolicReduction(root, usedMicrobatches);
        const results = arrivals(tree).map((shard) => reduction.add(shard, definition(shard, usedMicrobatches)));
        // The root's value comes with the last shard, and not before.
        expect(results.slice(0, -1).every((result) => result === undefined)).toBe(true);
        expect(results.at(-1)).toBe(definition(root, usedMicrobatches));
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
    const reduction = symbolicReduction({ lo: 0, n: 4 }, usedMicrobatches);
    const results = arrival.map((lo) => reduction.add({ lo, n: 1 }, `${lo}`));
    expect(results.at(-1)).toBe(sum);
  });

  it('reduces a root that does not begin at 0', () => {
    const reduction = symbolicReduction({ lo: 4, n: 4 }, 7);
    expect(reduction.add({ lo: 6, n: 1 }, '6')).toBeUndefined();
    expect(reduction.add({ lo: 4, n: 2 }, '(4+5)')).toBe('((4+5)+6)');
  });

  it('gives `combine` the parent of the two values', () => {
    fc.assert(
      fc.property(treeCase, (tree) => {
        const { root, usedMicrobatches } = tree;
        const reduction = new TreeReduction<string>({
          root,
          usedMicrobatches,
          combine: (left, right, parent) => {
            const sum = `(${left}+${right})`;
            expect(sum).toBe(definition(parent, usedMicrobatches));
            return sum;
          },
        });
        for (const shard of arrivals(tree)) {
          reduction.add(shard, definition(shard, usedMicrobatches));
        }
      }),
    );
  });
});
