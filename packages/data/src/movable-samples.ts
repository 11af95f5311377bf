/** Lets the samples of a data set move to where they are computed with, so that they lie in memory once. */
import type { Dataset, SampleValues } from './dataset.ts';

type ReadSamples = () => SampleValues;

/** Of each movable data set, what changes from where its samples are read. */
const movers = new WeakMap<Dataset, (read: ReadSamples) => void>();

/**
 * The same data set, whose samples `moveSamples` may move.
 * Nothing else may hold its samples, which lie in memory of their own: a move leaves arrays that were taken of them empty.
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
 * Has a data set read its samples where a caller has copied them to.
 * The memory that they took before is given back. A data set that is not movable, or is no more, stays as it is: a move is for good.
 * @param read returns equal samples; called each time when they are asked for
 */
export function moveSamples(dataset: Dataset, read: ReadSamples): void {
  movers.get(dataset)?.(read);
  movers.delete(dataset);
}

function constant(samples: SampleValues): ReadSamples {
  return () => samples;
}

/** A buffer that is moved to a new owner is young, and collected soon; as old garbage it might stay as long as the run. */
function release(buffer: ArrayBufferLike): void {
  if (buffer instanceof ArrayBuffer) structuredClone(buffer, { transfer: [buffer] });
}
