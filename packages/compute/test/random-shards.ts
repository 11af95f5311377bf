/** Random ways to cut a node of the tree into shards, and random orders in which they arrive. */

import type { Shard } from '@lockstep/rules';
import { randomStream } from '@lockstep/tensor';
import fc from 'fast-check';
import { halvesOf } from '../../rules/src/tree.ts';

/** Cuts `root` into shards that hold a used microbatch, from left to right. */
export function randomShards(random: () => number, root: Shard, usedMicrobatches: number): Shard[] {
  if (root.lo >= usedMicrobatches) return [];
  if (root.n === 1 || random() < 1 / 3) return [root];
  return halvesOf(root).flatMap((half) => randomShards(random, half, usedMicrobatches));
}

/** Returns a copy in random order, by the Fisher-Yates shuffle. */
function shuffled<Item>(random: () => number, items: readonly Item[]): Item[] {
  const copy = [...items];
  for (let last = copy.length - 1; last > 0; last--) {
    const other = Math.floor((last + 1) * random());
    [copy[last], copy[other]] = [copy[other]!, copy[last]!];
  }
  return copy;
}

export interface TreeCase {
  readonly root: Shard;
  readonly usedMicrobatches: number;
  readonly seed: number;
}

/** Trees of 1 to 64 microbatches, of which at least one is used; two in three do not begin at 0. */
export const treeCase: fc.Arbitrary<TreeCase> = fc
  .tuple(fc.integer({ min: 0, max: 6 }), fc.nat({ max: 2 }))
  .chain(([depth, place]) => {
    const root = { lo: place * 2 ** depth, n: 2 ** depth };
    return fc.record({
      root: fc.constant(root),
      usedMicrobatches: fc.integer({ min: root.lo + 1, max: root.lo + root.n }),
      seed: fc.nat(),
    });
  });

/** Returns shards that cover the tree's used microbatches, in order of arrival; both follow from the seed. */
export function arrivals({ root, usedMicrobatches, seed }: TreeCase): Shard[] {
  const random = randomStream(seed);
  return shuffled(random, randomShards(random, root, usedMicrobatches));
}

/** Sums a node by the tree's definition: left half plus right half, or the left half alone if the right one is empty. */
export function sumOfTree<Sum>(
  node: Shard,
  usedMicrobatches: number,
  sumOf: (microbatch: number) => Sum,
  add: (left: Sum, right: Sum) => Sum,
): Sum {
  if (node.n === 1) return sumOf(node.lo);
  const [left, right] = halvesOf(node).map((half) => () => sumOfTree(half, usedMicrobatches, sumOf, add));
  return node.lo + node.n / 2 >= usedMicrobatches ? left!() : add(left!(), right!());
}

/** Writes a node's sum as an expression: `((0+1)+2)` for three used microbatches of four. */
export const treeText = (node: Shard, usedMicrobatches: number): string =>
  sumOfTree(node, usedMicrobatches, String, (left, right) => `(${left}+${right})`);

export const addVectors = (left: Float32Array, right: Float32Array): Float32Array =>
  left.map((value, index) => value + right[index]!);
