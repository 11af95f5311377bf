/** The geometry of a run: its steps, the samples of a step, and the microbatches that they are cut into. */
import { checkWhole } from '@lockstep/data';
import type { InnerSteps } from './inner-steps.ts';
import { nextPowerOfTwo } from './tree.ts';

/** Fixes the order of a run's additions. Nothing in it depends on which workers are connected. */
export interface RunPlan {
  /** Samples in the training set. */
  readonly samples: number;
  /** Samples in a global batch; the last batch of an epoch may be shorter, and is kept. */
  readonly batch: number;
  /** Samples in a microbatch; the last microbatch of a batch may be shorter. */
  readonly microbatchSize: number;
  /** Microbatches of the reduction tree, a power of two; those past the batch's end are empty. */
  readonly microbatches: number;
  readonly stepsPerEpoch: number;
  readonly steps: number;
  /** What each microbatch, as a replica, does with its samples; left out where gradients are taken at fixed weights. */
  readonly innerSteps?: InnerSteps;
  /** A power of two: what 1 in half precision stands for, if every node of the tree is rounded to a half. */
  readonly halfUnit?: number;
}

export interface RunPlanOptions {
  readonly samples: number;
  readonly batch: number;
  readonly epochs: number;
  /** Stop after this many steps, even inside an epoch. */
  readonly steps?: number | undefined;
  readonly microbatchSize?: number | undefined;
  /** With a microbatch size, which is that of a replica. */
  readonly innerSteps?: InnerSteps | undefined;
  /** Whether every node of the tree is rounded to a half. */
  readonly roundsToHalves?: boolean | undefined;
}

/**
 * Samples in a microbatch: 64 or 32 where that cuts the batch into at least four microbatches, twice as many as two
 * workers, else 16. Below 16 a gradient costs more to write than to compute; above 64 shares get coarse.
 */
export function defaultMicrobatchSize(batch: number): number {
  return [64, 32].find((size) => Math.ceil(batch / size) >= 4) ?? 16;
}

/** Means over a step from 2^-34 to 64 are halves in this unit, whatever its batch. */
const unitsPerSample = 2 ** 10;

/** @throws RangeError if a count is not a positive integer. */
export function planRun(options: RunPlanOptions): RunPlan {
  const { samples, batch, epochs, innerSteps, roundsToHalves = false } = options;
  const microbatchSize = options.microbatchSize ?? defaultMicrobatchSize(batch);
  for (const [name, value] of Object.entries({ samples, batch, epochs, microbatchSize, steps: options.steps ?? 1 })) {
    checkWhole(name, value, 1);
  }
  const stepsPerEpoch = Math.ceil(samples / batch);
  const microbatches = nextPowerOfTwo(Math.ceil(Math.min(batch, samples) / microbatchSize));
  return {
    samples,
    batch,
    microbatchSize,
    microbatches,
    stepsPerEpoch,
    steps: Math.min(options.steps ?? Number.POSITIVE_INFINITY, epochs * stepsPerEpoch),
    ...(innerSteps && { innerSteps }),
    ...(roundsToHalves && { halfUnit: nextPowerOfTwo(innerSteps ? microbatches : batch) / unitsPerSample }),
  };
}

/** Which samples a step holds: the positions `[first, first + count)` of its epoch's order. */
export function stepBatch({ samples, batch, stepsPerEpoch }: RunPlan, step: number) {
  const first = (step % stepsPerEpoch) * batch;
  return { epoch: Math.floor(step / stepsPerEpoch), first, count: Math.min(batch, samples - first) };
}

/** Microbatches of a step that hold at least one sample. */
export function usedMicrobatches(plan: RunPlan, step: number): number {
  return Math.ceil(stepBatch(plan, step).count / plan.microbatchSize);
}

/** What the sum of a step is divided by: its samples, or the replicas that have some. */
export function stepDivisor(plan: RunPlan, step: number): number {
  return plan.innerSteps ? usedMicrobatches(plan, step) : stepBatch(plan, step).count;
}

/** Position of a microbatch's first sample in its epoch's order. */
export function firstSample(plan: RunPlan, step: number, microbatch: number): number {
  return stepBatch(plan, step).first + microbatch * plan.microbatchSize;
}

/** Samples of a shard, as positions `[from, to)` of its epoch's order; none where its microbatches are empty. */
export function shardRange(plan: RunPlan, step: number, lo: number, n: number) {
  const { epoch, first, count } = stepBatch(plan, step);
  const positionOf = (microbatch: number): number => first + Math.min(microbatch * plan.microbatchSize, count);
  return { epoch, from: positionOf(lo), to: positionOf(lo + n) };
}

/** Samples in the microbatches `lo .. lo + n - 1` of a step. */
export function samplesInShard(plan: RunPlan, step: number, lo: number, n: number): number {
  const { from, to } = shardRange(plan, step, lo, n);
  return to - from;
}
