/** The samples of a block, in the order that the seed fixes for its epoch. */
import { type Dataset, gather, permutation, type Samples, samplesOfBlock } from '@lockstep/data';
import { type RunPlan, stepBatch } from './plan.ts';

/** The samples of the leaves `lo .. lo + n - 1` of a step; always the same for the same block. */
export type BlockSource = (step: number, lo: number, n: number) => Samples;

export function createBlockSource(dataset: Dataset, plan: RunPlan, seed: number): BlockSource {
  // Tasks are sent ahead, so at an epoch's end two epochs are in use.
  const orders = new Map<number, Uint32Array>();
  const orderOf = (epoch: number): Uint32Array => {
    const order = orders.get(epoch) ?? permutation(dataset.count, seed, epoch);
    orders.set(epoch, order);
    for (const other of orders.keys()) if (other < epoch - 1) orders.delete(other);
    return order;
  };
  return (step, lo, n) => {
    const { epoch, first, count } = stepBatch(plan, step);
    const { from, to } = samplesOfBlock(lo, n, plan.leafSize, count);
    return gather(dataset, orderOf(epoch), first + from, first + to);
  };
}
