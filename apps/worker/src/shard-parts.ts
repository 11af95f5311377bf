/** Cuts a shard among threads, into nodes of the reduction tree. */
import { nextPowerOfTwo, type Shard, shardsOfRange } from '@lockstep/training';

export interface ShardParts {
  /** The node of the whole shard. */
  readonly root: Shard;
  /** Microbatches that hold a sample. */
  readonly usedMicrobatches: number;
  /** From left to right. */
  readonly parts: readonly { readonly shard: Shard; readonly thread: number }[];
}

/**
 * A contiguous share of the microbatches for each thread. The last share extends over the empty microbatches, since
 * fewer nodes are fewer vectors to add.
 */
export function partsOf(samples: number, microbatchSize: number, threads: number): ShardParts {
  const used = Math.ceil(samples / microbatchSize);
  const root = { lo: 0, n: nextPowerOfTwo(used) };
  const parts = Array.from({ length: threads }, (_, thread) => {
    const from = Math.round((used * thread) / threads);
    const to = Math.round((used * (thread + 1)) / threads);
    const shards = shardsOfRange(from, to === used && to > from ? root.n : to);
    return shards.filter(({ lo }) => lo < used).map((shard) => ({ shard, thread }));
  }).flat();
  return { root, usedMicrobatches: used, parts };
}
