/** Defines the only order in which values are added: pairwise up the fixed tree, left + right. */
import { parentOf, type Shard, shardKey, siblingOf } from '@lockstep/rules';

export interface TreeReductionOptions<Value> {
  readonly root: Shard;
  /** Microbatches from this number on hold no sample. */
  readonly usedMicrobatches: number;
  readonly combine: (left: Value, right: Value, parent: Shard) => Value;
}

/**
 * Combines the values of shards as soon as both halves of a node have arrived. The order of arrival does not change
 * which values are combined, so a sum always has the same bits.
 * A node whose right half is empty passes its left half's value on unchanged: adding zeros would turn -0 into +0.
 */
export class TreeReduction<Value> {
  readonly #options: TreeReductionOptions<Value>;
  readonly #waiting = new Map<string, Value>();

  constructor(options: TreeReductionOptions<Value>) {
    this.#options = options;
  }

  /** Adds the value of a shard within the root, each sample once. Returns the root's value once complete. */
  add(shard: Shard, value: Value): Value | undefined {
    const { root, usedMicrobatches, combine } = this.#options;
    let node = shard;
    let sum = value;
    while (node.n < root.n) {
      const sibling = siblingOf(node);
      const parent = parentOf(node);
      if (sibling.lo < usedMicrobatches) {
        const key = shardKey(sibling);
        if (!this.#waiting.has(key)) {
          this.#waiting.set(shardKey(node), sum);
          return undefined;
        }
        const other = this.#waiting.get(key)!;
        this.#waiting.delete(key);
        sum = sibling.lo < node.lo ? combine(other, sum, parent) : combine(sum, other, parent);
      }
      node = parent;
    }
    return sum;
  }
}
