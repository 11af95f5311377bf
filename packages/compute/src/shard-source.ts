/** Looks up the samples of a shard, in the order that the seed fixes for its epoch. */
import { type Dataset, gather, gatherTargets, permutation, type SampleBatch } from '@lockstep/data';
import { type RunPlan, shardRange } from '@lockstep/rules';

export interface ShardSource {
  /** Returns the samples of the microbatches `lo .. lo + n - 1` of a step; always the same for the same shard. */
  shard(step: number, lo: number, n: number): SampleBatch;
  /** Returns their numbers in the training set, from 0; a view that must not be written to. */
  numbers(step: number, lo: number, n: number): Uint32Array;
  /** Returns their targets, in the same order. */
  targets(step: number, lo: number, n: number): SampleBatch['targets'];
  /** Returns samples by number. @throws RangeError if a number is not in the training set */
  take(numbers: Uint32Array): SampleBatch;
}

export function createShardSource(dataset: Dataset, plan: RunPlan, seed: number): ShardSource {
  // Tasks are sent one step ahead, so two epochs are in use at the end of an epoch.
  const orders = new Map<number, Uint32Array>();
  const orderOf = (epoch: number): Uint32Array => {
    const order = orders.get(epoch) ?? permutation(dataset.count, seed, epoch);
    orders.set(epoch, order);
    for (const other of orders.keys()) if (other < epoch - 1) orders.delete(other);
    return order;
  };
  return {
    shard(step, lo, n) {
      const { epoch, from, to } = shardRange(plan, step, lo, n);
      return gather(dataset, orderOf(epoch), from, to);
    },
    numbers(step, lo, n) {
      const { epoch, from, to } = shardRange(plan, step, lo, n);
      return orderOf(epoch).subarray(from, to);
    },
    targets(step, lo, n) {
      const { epoch, from, to } = shardRange(plan, step, lo, n);
      return gatherTargets(dataset, orderOf(epoch).subarray(from, to));
    },
    take: (numbers) => gather(dataset, numbers, 0, numbers.length),
  };
}
