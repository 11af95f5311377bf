/** The batch of a run whose number of workers is known beforehand: each is to get a microbatch of every full step. */
import { checkWhole } from '@lockstep/data';
import { defaultMicrobatchSize } from './plan.ts';
import { nextPowerOfTwo, powerOfTwoUpTo } from './tree.ts';

/** Below 16 samples a gradient costs more to write than to compute … */
const leastMicrobatchSize = 16;
/** … but an epoch of fewer steps is too short to learn from. */
const leastStepsPerEpoch = 8;

export interface BatchForWorkersOptions {
  /** In the training set; at least as many as workers, with `microbatchSize` as many times more. */
  readonly samples: number;
  readonly workers: number;
  /** The batch where few workers are expected; a larger one is chosen only where they would not all get a microbatch. */
  readonly usualBatch: number;
  /** Where it is not to be chosen. */
  readonly microbatchSize?: number | undefined;
}

export interface BatchForWorkers {
  /** Samples in a step, at most those of the training set. */
  readonly batch: number;
  /** A power of two, or the one that was given, of which the batch is a multiple then. */
  readonly microbatchSize: number;
}

/**
 * A batch of at least as many microbatches as workers, a power of two of them where the data have enough samples.
 * @throws RangeError where the samples are too few to give each worker a microbatch
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
 * The usual microbatch of a batch, or a smaller one of which each worker gets one: a power of two.
 * @throws RangeError where there are more workers than samples
 */
export function microbatchSizeFor(batch: number, workers: number): number {
  checkWhole('workers', workers, 1, batch);
  return Math.min(defaultMicrobatchSize(batch), powerOfTwoUpTo(batch / workers));
}
