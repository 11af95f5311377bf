/** The geometry of a run: its steps, the samples of a step, and the microbatches of a step. */
import { checkWhole } from '@lockstep/data';
import type { InnerSteps } from './inner-steps.ts';
import { nextPowerOfTwo } from './tree.ts';

/** Fixes the order of a run's additions, independently of which workers are connected. */
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
  /** Inner steps of each microbatch, as a replica; omitted if gradients are computed at fixed weights. */
  readonly innerSteps?: InnerSteps;
  /** Value that 1 in half precision stands for, if every tree node is rounded to a half; a power of two. */
  readonly halfUnit?: number;
}

export interface RunPlanOptions {
  readonly samples: number;
  readonly batch: number;
  readonly epochs: number;
  /** Stop after this many steps, even inside an epoch. */
  readonly steps?: number | undefined;
  readonly microbatchSize?: number | undefined;
  /** Requires a microbatch size, which is the size of a replica. */
  readonly innerSteps?: InnerSteps | undefined;
  /** Whether every tree node is rounded to a half. */
  readonly roundsToHalves?: boolean | undefined;
}

/**
 * Returns the samples in a microbatch: 64 or 32 if that cuts the batch into at least four microbatches, two for each of
 * two workers; otherwise 16. Below 16 a gradient costs more to write than to compute; above 64 shares get coarse.
 */
export function defaultMicrobatchSize(batch: number): number {
  return [64, 32].find((size) => Math.ceil(batch / size) >= 4) ?? 16;
}

/** In this unit, means over a step from 2^-34 to 64 are halves, whatever the batch. */
const unitsPerSample = 2 ** 10;

/** Plans a run. @throws RangeError if a count is not a positive integer */
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

/** Returns the samples of a step: the positions `[first, first + count)` of its epoch's order. */
export function stepBatch({ samples, batch, stepsPerEpoch }: RunPlan, step: number) {
  const first = (step % stepsPerEpoch) * batch;
  return { epoch: Math.floor(step / stepsPerEpoch), first, count: Math.min(batch, samples - first) };
}

/** Returns the number of a step's microbatches that hold at least one sample. */
export function usedMicrobatches(plan: RunPlan, step: number): number {
  return Math.ceil(stepBatch(plan, step).count / plan.microbatchSize);
}

/** Divisor of a step's sum: its number of samples, or of nonempty replicas. */
export function stepDivisor(plan: RunPlan, step: number): number {
  return plan.innerSteps ? usedMicrobatches(plan, step) : stepBatch(plan, step).count;
}

/** Position of a microbatch's first sample in its epoch's order. */
export function firstSample(plan: RunPlan, step: number, microbatch: number): number {
  return stepBatch(plan, step).first + microbatch * plan.microbatchSize;
}

/** Returns the samples of a shard, as positions `[from, to)` of its epoch's order; empty if its microbatches are. */
export function shardRange(plan: RunPlan, step: number, lo: number, n: number) {
  const { epoch, first, count } = stepBatch(plan, step);
  const positionOf = (microbatch: number): number => first + Math.min(microbatch * plan.microbatchSize, count);
  return { epoch, from: positionOf(lo), to: positionOf(lo + n) };
}

/** Returns the number of samples in the microbatches `lo .. lo + n - 1` of a step. */
export function samplesInShard(plan: RunPlan, step: number, lo: number, n: number): number {
  const { from, to } = shardRange(plan, step, lo, n);
  return to - from;
}
