/** The geometry of a run: how many steps it takes, which samples a step holds, and how they are cut into leaves. */
import { type Batch, batchAt, leafCount, samplesOfBlock, stepsPerEpoch } from '@lockstep/data';

/** What fixes a run's arithmetic, and with it the final weights. Nothing here depends on who is connected. */
export interface RunPlan {
  /** Samples in the training set. */
  readonly samples: number;
  /** Samples in a global batch; the last batch of an epoch may be shorter, and is kept. */
  readonly batch: number;
  /** Samples in a leaf; the last leaf of a batch may be shorter. */
  readonly leafSize: number;
  /** Leaves of the reduce tree, a power of two; those past the batch's end are empty. */
  readonly leaves: number;
  readonly stepsPerEpoch: number;
  /** Steps in the whole run. */
  readonly steps: number;
}

export interface RunPlanOptions {
  readonly samples: number;
  readonly batch: number;
  readonly epochs: number;
  /** Stop after this many steps, even inside an epoch. */
  readonly steps?: number | undefined;
  readonly leafSize?: number | undefined;
}

/**
 * Leaf size for a batch: the largest that cuts it into four leaves, so that two workers have twice as many leaves as
 * they are, but never under 16 samples, where a leaf's own gradient costs more to write than to compute, nor over 64,
 * where shares get coarse.
 */
export function defaultLeafSize(batch: number): number {
  return [64, 32].find((size) => Math.ceil(batch / size) >= 4) ?? 16;
}

/** @throws RangeError where a count is not a positive integer. */
export function planRun(options: RunPlanOptions): RunPlan {
  const { samples, batch, epochs } = options;
  const leafSize = options.leafSize ?? defaultLeafSize(batch);
  for (const [name, value] of Object.entries({ samples, batch, epochs, leafSize, steps: options.steps ?? 1 })) {
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new RangeError(`${name}: expected a whole number of at least 1, got ${value}`);
    }
  }
  const epochSteps = stepsPerEpoch(samples, batch);
  return {
    samples,
    batch,
    leafSize,
    leaves: leafCount(Math.min(batch, samples), leafSize),
    stepsPerEpoch: epochSteps,
    steps: Math.min(options.steps ?? Number.POSITIVE_INFINITY, epochs * epochSteps),
  };
}

/** Which samples a step holds: its epoch, its first position in that epoch's order, and how many. */
export function stepBatch(plan: RunPlan, step: number): Batch {
  return batchAt(step, plan.samples, plan.batch);
}

/** Leaves of a step that hold at least one sample. */
export function usedLeaves(plan: RunPlan, step: number): number {
  return Math.ceil(stepBatch(plan, step).count / plan.leafSize);
}

/** Position of a leaf's first sample in its epoch's order. */
export function firstSample(plan: RunPlan, step: number, leaf: number): number {
  return stepBatch(plan, step).first + leaf * plan.leafSize;
}

/** Samples in the leaves `lo .. lo + n - 1` of a step. */
export function samplesInBlock(plan: RunPlan, step: number, lo: number, n: number): number {
  const { from, to } = samplesOfBlock(lo, n, plan.leafSize, stepBatch(plan, step).count);
  return to - from;
}
