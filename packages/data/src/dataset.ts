/** Labeled samples in memory, as every reader returns them and every run trains on them. */
import { checkWhole, DataError } from './data-error.ts';

/** Sample values, one sample after another: bytes or floats. */
export type SampleValues = Uint8Array | Float32Array;

/** Mean and deviation of standardized values: `(given - mean) / deviation`. */
export interface Standardization {
  readonly mean: number;
  readonly deviation: number;
}

/** Targets to learn: for each sample its class, or one or more values. */
export type Targets =
  | {
      readonly type: 'classes';
      /** Class of each sample, [count]; below `names.length`. */
      readonly labels: Uint16Array;
      /** Name of each class. */
      readonly names: readonly string[];
    }
  | {
      readonly type: 'values';
      /** [count, names.length]. */
      readonly values: Float32Array;
      /** Name of each value of a sample. */
      readonly names: readonly string[];
      /** Shared by all values; omitted if the values are as given. */
      readonly standardization?: Standardization | undefined;
    };

/** Labeled samples of one shape. */
export interface Dataset {
  /** [count, ...sampleShape]; a model sees bytes as byte / 255, floats as they are. */
  readonly samples: SampleValues;
  /** [height, width, channels] of a picture, [features] of a table row. */
  readonly sampleShape: readonly number[];
  readonly count: number;
  readonly targets: Targets;
}

/** Maximum number of classes, whose labels are 16-bit numbers. */
export const maxClasses = 65_535;
const maxOutputs = 65_535;

/** Returns the number of values in one sample. */
export function sampleSize({ sampleShape }: Pick<Dataset, 'sampleShape'>): number {
  return sampleShape.reduce((size, length) => size * length, 1);
}

/** Returns the numbers of the targets: labels [count], or values [count, names.length]. */
export function targetValues(targets: Targets): Uint16Array | Float32Array {
  return targets.type === 'classes' ? targets.labels : targets.values;
}

/** Returns how many numbers make up one sample's target. */
export function targetSize(targets: Targets): number {
  return targets.type === 'classes' ? 1 : targets.names.length;
}

/** Returns the bytes that a sample and its target take in memory. */
export function bytesPerSample(dataset: Dataset): number {
  const { samples, targets } = dataset;
  const targetBytes = targetValues(targets).BYTES_PER_ELEMENT * targetSize(targets);
  return samples.BYTES_PER_ELEMENT * sampleSize(dataset) + targetBytes;
}

/**
 * Refuses a data set whose parts do not fit together, or that contains a number that is not finite.
 * @param name prefix of the error message
 * @throws DataError
 */
export function checkDataset(dataset: Dataset, name: string): void {
  const fault = shapeFault(dataset) ?? targetsFault(dataset) ?? samplesFault(dataset);
  if (fault !== undefined) throw new DataError(`${name}: ${fault}`);
}

function shapeFault({ count, samples, sampleShape }: Dataset): string | undefined {
  try {
    checkWhole('expected samples, their count', count, 1);
    if (sampleShape.length === 0) return 'expected the shape of a sample, got none';
    for (const length of sampleShape) checkWhole('the shape of a sample', length, 1);
  } catch (error) {
    return (error as Error).message;
  }
  const expected = count * sampleSize({ sampleShape });
  if (samples.length === expected) return undefined;
  return `expected ${expected} values, ${count} samples of ${sampleShape.join(' x ')}, got ${samples.length}`;
}

function samplesFault(dataset: Dataset): string | undefined {
  const { samples } = dataset;
  if (samples instanceof Uint8Array) return undefined;
  return finiteFault(samples, sampleSize(dataset), (position) => `value ${position}`);
}

function targetsFault({ count, targets }: Dataset): string | undefined {
  const { names } = targets;
  const size = targetSize(targets);
  const numbers = targetValues(targets);
  if (numbers.length !== count * size) return `expected ${count * size} targets, got ${numbers.length}`;
  if (targets.type === 'values') {
    if (names.length < 1 || names.length > maxOutputs) {
      return `expected from 1 to ${maxOutputs} values to learn for each sample, got ${names.length}`;
    }
    return finiteFault(targets.values, size, (position) => `the target ${JSON.stringify(names[position])}`);
  }
  if (names.length < 2 || names.length > maxClasses) {
    return `expected from 2 to ${maxClasses} classes, got ${names.length}`;
  }
  const wrong = targets.labels.findIndex((label) => label >= names.length);
  if (wrong < 0) return undefined;
  return `expected labels from 0 to ${names.length - 1}, got ${targets.labels[wrong]} at sample ${wrong}`;
}

/** @param size values per sample */
function finiteFault(values: Float32Array, size: number, what: (position: number) => string): string | undefined {
  let at = 0;
  // A loop is much faster than a callback for each value, and a server waits for this check.
  while (at < values.length && Number.isFinite(values[at])) at += 1;
  if (at === values.length) return undefined;
  return `expected finite numbers, got ${values[at]} as ${what(at % size)} of sample ${Math.floor(at / size)}`;
}

/** Arrays whose rows can be gathered. */
type Numbers = Uint8Array | Uint16Array | Float32Array;

/** A copy of some samples. */
export interface SampleBatch {
  /** [count, ...sampleShape]. */
  readonly samples: SampleValues;
  /** Labels [count], or values [count, outputs]. */
  readonly targets: Uint16Array | Float32Array;
  readonly count: number;
}

/** Copies the samples at positions `[from, to)` of a permutation. @throws RangeError if there is no such sample */
export function gather(dataset: Dataset, permutation: Uint32Array, from: number, to: number): SampleBatch {
  checkWhole('from', from, 0);
  checkWhole('to', to, from, permutation.length);
  const indices = permutation.subarray(from, to);
  for (let row = 0; row < indices.length; row += 1) {
    const sample = indices[row]!;
    if (sample >= dataset.count) {
      throw new RangeError(`gather: expected samples below ${dataset.count}, got ${sample} at position ${from + row}`);
    }
  }
  return {
    samples: gatherRows(dataset.samples, sampleSize(dataset), indices),
    targets: gatherTargets(dataset, indices),
    count: indices.length,
  };
}

/** Copies the targets of the samples with these indices. @throws RangeError if an index is out of range */
export function gatherTargets({ targets }: Dataset, indices: Uint32Array): SampleBatch['targets'] {
  return gatherRows(targetValues(targets), targetSize(targets), indices);
}

/** Copies the rows with these indices out of `values` [rows, size]. @throws RangeError if an index is out of range */
export function gatherRows<Values extends Numbers>(values: Values, size: number, indices: Uint32Array): Values {
  const picked = numbersLike(values, indices.length * size) as Values;
  const rows = values.length / size;
  for (let row = 0; row < indices.length; row += 1) {
    const index = indices[row]!;
    if (index >= rows) throw new RangeError(`gather: expected rows below ${rows}, got ${index}`);
    if (size === 1) picked[row] = values[index]!;
    else picked.set(values.subarray(index * size, (index + 1) * size), row * size);
  }
  return picked;
}

function numbersLike(values: Numbers, length: number): Numbers {
  if (values instanceof Uint8Array) return new Uint8Array(length);
  return values instanceof Uint16Array ? new Uint16Array(length) : new Float32Array(length);
}

/**
 * Copies the samples of `first`, then the samples of `second`, into new memory.
 * Both must have the same sample shape, types and names.
 * @throws RangeError if their shapes or types differ
 */
export function concatDatasets(first: Dataset, second: Dataset): Dataset {
  const [expected, got] = [first, second].map(({ sampleShape }) => sampleShape.join(' x '));
  if (got !== expected) throw new RangeError(`expected samples of ${expected}, got ${got}`);
  return {
    samples: concatValues(first.samples, second.samples),
    sampleShape: first.sampleShape,
    count: first.count + second.count,
    targets: concatTargets(first.targets, second.targets),
  };
}

function concatTargets(first: Targets, second: Targets): Targets {
  if (first.type === 'classes' && second.type === 'classes') {
    const labels = new Uint16Array(first.labels.length + second.labels.length);
    labels.set(first.labels);
    labels.set(second.labels, first.labels.length);
    return { ...first, labels };
  }
  if (first.type === 'values' && second.type === 'values') {
    return { ...first, values: concatValues(first.values, second.values) as Float32Array };
  }
  throw new RangeError(`expected ${first.type}, got ${second.type}`);
}

function concatValues(first: SampleValues, second: SampleValues): SampleValues {
  const length = first.length + second.length;
  const joined = first instanceof Uint8Array ? new Uint8Array(length) : new Float32Array(length);
  if (joined.constructor !== second.constructor)
    throw new RangeError('expected samples of one type, got bytes and floats');
  joined.set(first);
  joined.set(second, first.length);
  return joined;
}

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
