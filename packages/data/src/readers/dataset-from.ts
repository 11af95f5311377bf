/** Builds a data set from arrays in memory. */
import { DataError } from '../data-error.ts';
import { checkDataset, type Dataset, maxClasses, type SampleValues, type Targets } from '../dataset.ts';
import { sortedNames } from './class-names.ts';
import { flatten, nestedShape } from './nested-values.ts';

type Numbers = Uint8Array | Uint16Array | Float32Array | readonly number[];

export interface ArraySamples {
  /**
   * One array [count, ...sampleShape], whose bytes count as byte / 255; or a list of samples, nested like their shape.
   */
  readonly samples: SampleValues | readonly unknown[];
  /** Default: the nested shape; for one array, `[samples.length / count]`. */
  readonly sampleShape?: readonly number[];
}

/** Samples in arrays, with a class for each. */
export interface LabeledArrays extends ArraySamples {
  /** [count] indices into `classes`, or names of classes. */
  readonly labels: Numbers | readonly string[];
  /** Default: the distinct labels, sorted; for numbers, from 0 to the largest. */
  readonly classes?: readonly string[];
}

/** Samples in arrays, with one or more values for each. */
export interface ValuedArrays extends ArraySamples {
  /** [count, names.length]; nested if there are several for each sample. */
  readonly values: Float32Array | readonly number[] | readonly (readonly number[])[];
  /** Default `value`, or `value 0`, `value 1`, …. */
  readonly names?: readonly string[];
}

/**
 * Builds a data set from arrays in memory.
 * @throws DataError with one sentence if the parts do not fit together, or a number is not finite
 */
export function datasetFrom(arrays: LabeledArrays | ValuedArrays): Dataset {
  const count = 'labels' in arrays ? arrays.labels.length : valueCount(arrays);
  const targets = 'labels' in arrays ? classTargets(arrays) : valueTargets(arrays, count);
  const dataset = { ...samplesOf(arrays, count), count, targets };
  checkDataset(dataset, 'datasetFrom');
  return dataset;
}

function samplesOf({ samples, sampleShape }: ArraySamples, count: number): Pick<Dataset, 'samples' | 'sampleShape'> {
  if (samples instanceof Uint8Array || samples instanceof Float32Array) {
    return { samples, sampleShape: sampleShape ?? [samples.length / Math.max(count, 1)] };
  }
  const shape = nestedShape(samples[0]);
  const size = shape.reduce((product, length) => product * length, 1);
  const values = new Float32Array(samples.length * size);
  samples.forEach((sample, index) => {
    const fault = flatten(sample, shape, values, index * size);
    if (fault !== undefined) throw new DataError(`datasetFrom: sample ${index}: ${fault}`);
  });
  return { samples: values, sampleShape: sampleShape ?? (shape.length === 0 ? [1] : shape) };
}

function classTargets({ labels, classes }: LabeledArrays): Targets {
  const isNamed = Array.isArray(labels) && typeof labels[0] === 'string';
  const names = classes ?? (isNamed ? sortedNames(labels as string[]) : numbered(labels as Numbers));
  const indexOf = new Map(names.map((name, index) => [name, index]));
  const indices = Array.from(labels as ArrayLike<unknown>, (label, sample) => {
    const index = typeof label === 'string' ? indexOf.get(label) : label;
    if (typeof index === 'number' && Number.isInteger(index) && index >= 0 && index < names.length) return index;
    const got = typeof label === 'string' ? JSON.stringify(label) : label;
    throw new DataError(`datasetFrom: label ${sample}: expected one of ${names.length} classes, got ${got}`);
  });
  return { type: 'classes', labels: Uint16Array.from(indices), names };
}

function numbered(labels: Numbers): string[] {
  let most = 0;
  for (const label of labels) most = Math.max(most, label);
  return Array.from({ length: Math.min(most + 1, maxClasses) }, (_, index) => `${index}`);
}

function valueCount({ values, names }: ValuedArrays): number {
  return values instanceof Float32Array ? values.length / (names?.length ?? 1) : values.length;
}

function valueTargets({ values, names }: ValuedArrays, count: number): Targets {
  const size = values instanceof Float32Array ? (names?.length ?? 1) : (nestedShape(values)[1] ?? 1);
  const given = names ?? (size === 1 ? ['value'] : Array.from({ length: size }, (_, index) => `value ${index}`));
  if (values instanceof Float32Array) return { type: 'values', values, names: given };
  const flat = new Float32Array(count * size);
  const fault = flatten(values, nestedShape(values), flat, 0);
  if (fault !== undefined) throw new DataError(`datasetFrom: values: ${fault}`);
  return { type: 'values', values: flat, names: given };
}
