/** Lets the samples of a data set move to the memory where they are computed with, so that only one copy exists. */
import type { Dataset, SampleValues } from './dataset.ts';

type ReadSamples = () => SampleValues;

/** For each movable data set: replaces the function that reads its samples. */
const movers = new WeakMap<Dataset, (read: ReadSamples) => void>();

/**
 * Returns the same data set, with samples that `moveSamples` may move.
 * Nothing else may hold the samples, and their buffer must contain nothing else: a move leaves all arrays on it empty.
 */
export function movableSamples({ samples, sampleShape, count, targets }: Dataset): Dataset {
  let read = constant(samples);
  const dataset: Dataset = {
    get samples() {
      return read();
    },
    sampleShape,
    count,
    targets,
  };
  movers.set(dataset, (readNow) => {
    const { buffer } = read();
    read = readNow;
    release(buffer);
  });
  return dataset;
}

/**
 * Makes a data set read its samples from where the caller has copied them, and frees the old memory.
 * Does nothing if the data set is not movable or has been moved already: a move is final.
 * @param read returns equal samples; called on each access to the samples
 */
export function moveSamples(dataset: Dataset, read: ReadSamples): void {
  movers.get(dataset)?.(read);
  movers.delete(dataset);
}

function constant(samples: SampleValues): ReadSamples {
  return () => samples;
}

/**
 * Frees a buffer by transferring it: the new owner is young garbage, collected soon; old garbage might stay for long.
 */
function release(buffer: ArrayBufferLike): void {
  if (buffer instanceof ArrayBuffer) structuredClone(buffer, { transfer: [buffer] });
}
