/** Cuts a shard among threads, and tells in which order their vectors are added: that of the fixed tree. */
import { nextPowerOfTwo, type Shard, shardsOfRange } from '@lockstep/training';

export interface Part {
  readonly shard: Shard;
  readonly thread: number;
}

/** Microbatches that hold a sample, and all of the shard's tree. */
export function treeOf(samples: number, microbatchSize: number): { readonly used: number; readonly root: Shard } {
  const used = Math.ceil(samples / microbatchSize);
  return { used, root: { lo: 0, n: nextPowerOfTwo(used) } };
}

/**
 * A contiguous share of the microbatches for each thread, as shards of the tree, from left to right; the last share runs on over
 * the empty microbatches, since fewer shards are fewer vectors to add.
 */
export function partsOf(used: number, root: Shard, threads: number): Part[] {
  return Array.from({ length: threads }, (_, thread) => {
    const from = Math.round((used * thread) / threads);
    const to = Math.round((used * (thread + 1)) / threads);
    const shards = shardsOfRange(from, to === used && to > from ? root.n : to);
    return shards.filter(({ lo }) => lo < used).map((shard) => ({ shard, thread }));
  }).flat();
}

/** `parts[left] += parts[right]`, by place in the list. */
export interface Addition {
  readonly left: number;
  readonly right: number;
}

/** What makes the first part's vector the sum of all, each addition left plus right as in the tree. */
export function additionsOf(parts: readonly Part[], root: Shard, used: number): Addition[] {
  const additions: Addition[] = [];
  /** The part whose vector holds the node's sum. */
  const sumOf = ({ lo, n }: Shard): number => {
    const known = parts.findIndex(({ shard }) => shard.lo === lo && shard.n === n);
    if (known >= 0) return known;
    const left = sumOf({ lo, n: n / 2 });
    if (lo + n / 2 >= used) return left;
    additions.push({ left, right: sumOf({ lo: lo + n / 2, n: n / 2 }) });
    return left;
  };
  if (parts.length > 0) sumOf(root);
  return additions;
}
