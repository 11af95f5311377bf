/** Chooses the batch for a known number of workers, such that each gets a microbatch of every full step. */
import { checkWhole } from '@lockstep/data';
import { defaultMicrobatchSize } from './plan.ts';
import { nextPowerOfTwo, powerOfTwoUpTo } from './tree.ts';

/** Below 16 samples a gradient costs more to write than to compute … */
const leastMicrobatchSize = 16;
/** … but an epoch of fewer steps is too short to learn from. */
const leastStepsPerEpoch = 8;

export interface BatchForWorkersOptions {
  /** Samples in the training set; at least `workers`, or `workers * microbatchSize` if that size is given. */
  readonly samples: number;
  readonly workers: number;
  /** Preferred batch; a larger one is chosen only if some workers would otherwise get no microbatch. */
  readonly usualBatch: number;
  /** Fixed microbatch size; chosen by default. */
  readonly microbatchSize?: number | undefined;
}

export interface BatchForWorkers {
  /** Samples in a step, at most the training set. */
  readonly batch: number;
  /** A power of two, or the given size, in which case the batch is a multiple of it. */
  readonly microbatchSize: number;
}

/**
 * Returns a batch of at least one microbatch per worker, and of a power of two of them if there are enough samples.
 * @throws RangeError if there are too few samples to give each worker a microbatch
 */
export function batchForWorkers(options: BatchForWorkersOptions): BatchForWorkers {
  const { samples, workers, usualBatch, microbatchSize: given } = options;
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
  const least = microbatches * Math.min(leastMicrobatchSize, powerOfTwoUpTo(affordable));
  const batch = Math.min(Math.max(usualBatch, least), samples);
  return { batch, microbatchSize: microbatchSizeFor(batch, workers) };
}

/**
 * Returns the default microbatch size of a batch, or a smaller power of two that gives each worker a microbatch.
 * @throws RangeError if there are more workers than samples
 */
export function microbatchSizeFor(batch: number, workers: number): number {
  checkWhole('workers', workers, 1, batch);
  return Math.min(defaultMicrobatchSize(batch), powerOfTwoUpTo(batch / workers));
}
