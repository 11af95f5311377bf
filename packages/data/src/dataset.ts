/** Labeled samples in memory, as every reader returns them and every run trains on them. */
import { checkWhole } from './check-whole.ts';
import { DataError } from './data-error.ts';

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
