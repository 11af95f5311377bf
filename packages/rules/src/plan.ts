/** The geometry of a run: its epochs, steps, batches and microbatches. */
import { checkWhole } from '@lockstep/data';
import { nextPowerOfTwo, powerOfTwoUpTo } from './tree.ts';

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

interface RunPlanOptions {
  readonly samples: number;
  readonly batch: number;
  readonly epochs: number;
  /** Stop after this many steps, even inside an epoch. */
  readonly steps?: number | undefined;
  readonly microbatchSize?: number | undefined;
  /** Smallest default size of a microbatch; 16 by default. */
  readonly leastMicrobatch?: number | undefined;
  /** Requires a microbatch size, which is the size of a replica. */
  readonly innerSteps?: InnerSteps | undefined;
  /** Whether every tree node is rounded to a half. */
  readonly roundsToHalves?: boolean | undefined;
}

/** A gradient of fewer samples costs more to write than to compute, unless a sample is a whole sequence. */
const usualLeastMicrobatch = 16;

/** Above this size shares get coarse. */
const mostMicrobatch = 64;

/**
 * Returns the samples in a microbatch, at least `least` and at most 64. A quarter of the batch is best: four
 * microbatches are two for each of two workers, which answer with one gradient each. Otherwise it is the largest power of
 * two that cuts the batch into at least four.
 */
function defaultMicrobatchSize(batch: number, least = usualLeastMicrobatch): number {
  const quarter = batch / 4;
  if (Number.isInteger(quarter) && quarter >= least && quarter <= mostMicrobatch) return quarter;
  return [mostMicrobatch, 32, 16, 8, 4, 2].find((size) => size > least && Math.ceil(batch / size) >= 4) ?? least;
}

/** In this unit, means over a step from 2^-34 to 64 are halves, whatever the batch. */
const unitsPerSample = 2 ** 10;

/** Plans a run. @throws RangeError if a count is not a positive integer */
export function planRun(options: RunPlanOptions): RunPlan {
  const { samples, batch, epochs, innerSteps, roundsToHalves = false, leastMicrobatch } = options;
  const microbatchSize = options.microbatchSize ?? defaultMicrobatchSize(batch, leastMicrobatch);
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

/**
 * In a run with inner steps, each microbatch is a replica. Starting at the round's weights, it takes one SGD step for
 * each `batch` of its samples, in order. Its result is the change `before - after`. Momentum starts at 0, so a result
 * is a function of weights, round and replica number.
 * Douillard et al., "DiLoCo: Distributed Low-Communication Training of Language Models", 2023.
 */
export interface InnerSteps {
  /** Samples in an inner step; the last one of a replica may have fewer. */
  readonly batch: number;
  readonly learningRate: number;
  /** At least 0 and less than 1. */
  readonly momentum: number;
  /** Number of leading parameters that keep their values; omitted if all are trained. */
  readonly frozen?: number;
}

/** An epoch of fewer steps is too short to learn from. */
const leastStepsPerEpoch = 8;

interface BatchForWorkersOptions {
  /** Samples in the training set; at least `workers`, or `workers * microbatchSize` if that size is given. */
  readonly samples: number;
  readonly workers: number;
  /** Preferred batch; a larger one is chosen only if some workers would otherwise get no microbatch. */
  readonly usualBatch: number;
  /** Fixed microbatch size; chosen by default. */
  readonly microbatchSize?: number | undefined;
  /** As for `planRun`. */
  readonly leastMicrobatch?: number | undefined;
}

interface BatchForWorkers {
  /** Samples in a step, at most the training set. */
  readonly batch: number;
  /** The default size or a power of two; if a size is given, that one, and the batch is a multiple of it. */
  readonly microbatchSize: number;
}

/**
 * Returns a batch of at least one microbatch per worker, and of a power of two of them if there are enough samples.
 * @throws RangeError if there are too few samples to give each worker a microbatch
 */
export function batchForWorkers(options: BatchForWorkersOptions): BatchForWorkers {
  const { samples, workers, usualBatch, microbatchSize: given, leastMicrobatch = usualLeastMicrobatch } = options;
  for (const [name, value] of Object.entries({ samples, workers, usualBatch, microbatchSize: given ?? 1 })) {
    checkWhole(name, value, 1);
  }
  if (workers * (given ?? 1) > samples) {
    throw new RangeError(
      `expected at most ${samples} samples in ${workers} microbatches, got ${workers * (given ?? 1)}`,
    );
  }
  const microbatches = nextPowerOfTwo(workers);
  if (given !== undefined) {
    const wanted = Math.max(microbatches, Math.ceil(usualBatch / given));
    return { batch: Math.min(wanted, Math.floor(samples / given)) * given, microbatchSize: given };
  }
  const affordable = samples / (leastStepsPerEpoch * microbatches);
  const least = microbatches * Math.min(leastMicrobatch, powerOfTwoUpTo(affordable));
  const batch = Math.min(Math.max(usualBatch, least), samples);
  return { batch, microbatchSize: microbatchSizeFor(batch, workers, leastMicrobatch) };
}

/**
 * Returns the default microbatch size of a batch, or a smaller power of two that gives each worker a microbatch.
 * @throws RangeError if there are more workers than samples
 */
export function microbatchSizeFor(batch: number, workers: number, leastMicrobatch?: number): number {
  checkWhole('workers', workers, 1, batch);
  return Math.min(defaultMicrobatchSize(batch, leastMicrobatch), powerOfTwoUpTo(batch / workers));
}
