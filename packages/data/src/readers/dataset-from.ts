/** Builds a data set from arrays in memory. */
import {
  type ArgumentKind,
  argumentKinds,
  checkArguments,
  checkKnown,
  DataError,
  listArgument,
  maxNesting,
  objectWith,
  unexpected,
} from '../data-error.ts';
import {
  checkDataset,
  classTargets,
  type Dataset,
  maxClasses,
  type Samples,
  type SampleValues,
  samplesOf,
  type Targets,
  valueTargets,
} from '../dataset.ts';
import { shownLine } from '../shown.ts';
import { sortedNames } from './table.ts';

type Numbers = Uint8Array | Uint16Array | Float32Array | readonly number[];

interface ArraySamples {
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

const arraysKind = objectWith('an object with samples, and labels or values', 'samples');
const listKind: ArgumentKind = { expected: 'a list or a typed array', accepts: isList };
const sharedKinds = { samples: listKind, sampleShape: listArgument('lengths') };
const labeledKinds = { ...sharedKinds, labels: listKind, classes: argumentKinds.names };
const valuedKinds = { ...sharedKinds, values: listKind, names: argumentKinds.names };

/**
 * Builds a data set from arrays in memory.
 * @throws DataError with one sentence if the parts do not fit together, or a number is not finite; Error if a part is
 * unknown, or not a list
 */
export function datasetFrom(arrays: LabeledArrays | ValuedArrays): Dataset {
  checkArguments('datasetFrom', [arraysKind, arrays]);
  const kinds: Readonly<Record<string, ArgumentKind>> = 'labels' in arrays ? labeledKinds : valuedKinds;
  checkKnown('datasetFrom', arrays, Object.keys(kinds));
  for (const [part, kind] of Object.entries(kinds)) {
    const value = (arrays as unknown as Readonly<Record<string, unknown>>)[part];
    if (kind === listKind || value !== undefined) checkArguments(`datasetFrom: ${part}`, [kind, value]);
  }
  const count = 'labels' in arrays ? arrays.labels.length : valueCount(arrays);
  const targets = 'labels' in arrays ? classesFrom(arrays) : valuesFrom(arrays, count);
  const dataset = { samples: samplesFrom(arrays, count), targets, count };
  checkDataset(dataset, 'datasetFrom');
  return dataset;
}

function samplesFrom(arrays: LabeledArrays | ValuedArrays, count: number): Samples {
  const { samples, sampleShape } = arrays;
  if (samples instanceof Uint8Array || samples instanceof Float32Array) {
    return samplesOf(samples, sampleShape ?? [samples.length / Math.max(count, 1)]);
  }
  if (sampleShape === undefined && samples.length !== count) {
    const what = 'labels' in arrays ? 'labels' : 'values';
    throw unexpected('datasetFrom', `a sample for each of ${count} ${what}`, samples.length);
  }
  const shape = nestedShape(samples[0]);
  const size = shape.reduce((product, length) => product * length, 1);
  const values = new Float32Array(samples.length * size);
  samples.forEach((sample, index) => {
    const fault = flatten(sample, shape, values, index * size);
    if (fault !== undefined) throw new DataError(`datasetFrom: sample ${index}: ${fault}`);
  });
  return samplesOf(values, sampleShape ?? (shape.length === 0 ? [1] : shape));
}

function classesFrom({ labels, classes }: LabeledArrays): Targets {
  const isNamed = Array.isArray(labels) && typeof labels[0] === 'string';
  const names =
    classes ??
    (isNamed ? sortedNames(labels.filter((label) => typeof label === 'string')) : numbered(labels as Numbers));
  const indexOf = new Map(names.map((name, index) => [name, index]));
  const indices = Array.from(labels as ArrayLike<unknown>, (label, sample) => {
    const index = typeof label === 'string' ? indexOf.get(label) : label;
    if (typeof index === 'number' && Number.isInteger(index) && index >= 0 && index < names.length) return index;
    throw unexpected(`datasetFrom: label ${sample}`, `one of ${names.length} classes`, shown(label));
  });
  return classTargets(Uint16Array.from(indices), names);
}

function numbered(labels: Numbers): string[] {
  let most = 0;
  for (const label of labels) if (Number.isInteger(label)) most = Math.max(most, label);
  return Array.from({ length: Math.min(most + 1, maxClasses) }, (_, index) => `${index}`);
}

function valueCount({ values, names }: ValuedArrays): number {
  return values instanceof Float32Array ? values.length / (names?.length ?? 1) : values.length;
}

function valuesFrom({ values, names }: ValuedArrays, count: number): Targets {
  const size = values instanceof Float32Array ? (names?.length ?? 1) : (nestedShape(values)[1] ?? 1);
  const given = names ?? (size === 1 ? ['value'] : Array.from({ length: size }, (_, index) => `value ${index}`));
  if (values instanceof Float32Array) return valueTargets(values, given);
  const flat = new Float32Array(count * size);
  const fault = flatten(values, nestedShape(values), flat, 0);
  if (fault !== undefined) throw new DataError(`datasetFrom: values: ${fault}`);
  return valueTargets(flat, given);
}

/** Returns the lengths of the lists from the outside in, by the first list of each level, up to `maxNesting` levels. */
export function nestedShape(value: unknown): number[] {
  const shape: number[] = [];
  for (let inner = value; isList(inner) && shape.length < maxNesting; inner = inner[0]) shape.push(inner.length);
  return shape;
}

/**
 * Writes the numbers into `into`, starting at `offset`.
 * @returns the fault as `expected …, got …`; undefined if the lists have this shape and finite float32 numbers
 */
export function flatten(
  value: unknown,
  shape: readonly number[],
  into: Float32Array,
  offset: number,
): string | undefined {
  const [length, ...rest] = shape;
  if (length === undefined) {
    const rounded = typeof value === 'number' ? Math.fround(value) : Number.NaN;
    if (!Number.isFinite(rounded)) return `expected finite numbers, got ${shown(value)}`;
    into[offset] = rounded;
    return undefined;
  }
  if (!isList(value)) return `expected a list of ${length}, got ${shown(value)}`;
  if (value.length !== length) return `expected a list of ${length}, got one of ${value.length}`;
  const size = rest.reduce((product, one) => product * one, 1);
  for (let index = 0; index < length; index += 1) {
    const fault = flatten(value[index], rest, into, offset + index * size);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

/** Returns the position of the first number that is not a whole number from 0 to 255; -1 if all are bytes. */
export function firstBeyondBytes(values: Float32Array): number {
  return values.findIndex((value) => !Number.isInteger(value) || value < 0 || value > 255);
}

function isList(value: unknown): value is ArrayLike<unknown> {
  return Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
}

function shown(value: unknown): string {
  if (typeof value === 'number') return `${value}`;
  if (typeof value === 'bigint') return `${value}n, a BigInt`;
  if (isList(value)) return `a list of ${value.length}`;
  if (typeof value === 'object' && value !== null) return 'an object';
  return shownLine(JSON.stringify(value) ?? typeof value, 40);
}
