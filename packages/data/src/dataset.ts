/** Labeled samples in memory, as every reader returns them and every run trains on them. */
import { argumentKinds, checkArguments, checkWhole, DataError, objectWith } from './data-error.ts';
import { shownValue } from './shown.ts';

/** Numbers of each dtype in memory. */
interface Arrays {
  readonly u8: Uint8Array;
  readonly u16: Uint16Array;
  readonly f32: Float32Array;
}

/** Name of a number format: bytes, 16-bit whole numbers, or float32. */
export type Dtype = keyof Arrays;

const arrays: { readonly [D in Dtype]: { new (length: number): Arrays[D]; readonly BYTES_PER_ELEMENT: number } } = {
  u8: Uint8Array,
  u16: Uint16Array,
  f32: Float32Array,
};

/**
 * Role of a field's numbers.
 * `scaled`: a model sees value / 255. `index`: the number of a class or token. `value`: a number as it is. `next`: the
 * token after each token of a sample.
 */
export type FieldRole = 'scaled' | 'index' | 'value' | 'next';

/** One dtype, shape and role of samples or targets. */
export interface Field<D extends Dtype = Dtype, R extends FieldRole = FieldRole> {
  readonly dtype: D;
  /** Shape of one sample: [height, width, channels] of a picture, [features] of a table row, [] of a class. */
  readonly shape: readonly number[];
  readonly role: R;
}

/** Tokens of a text: bytes if there are at most 256 different ones, otherwise 16-bit numbers. */
export interface TokenField extends Field<'u8' | 'u16', 'index'> {
  /** Size of the vocabulary; each token is below it. */
  readonly tokens: number;
}

/** Bytes, floats as they are, or tokens. */
export type SampleField = Field<'u8', 'scaled'> | Field<'f32', 'value'> | TokenField;

/** Classes, whose samples may count differently. */
export interface ClassField extends Field<'u16', 'index'> {
  /** Factors of the samples' losses in training, one for each class; omitted if all are 1. */
  readonly classWeights?: readonly number[];
}

/**
 * The token after each token of a sample, which the sample itself contains.
 * Samples of T + 1 tokens predict at T positions, and targets have no values of their own.
 */
export interface NextField extends Field<'u8', 'next'> {
  /** Mean number of predicted positions of a training sample: the loss of a sample is divided by it. */
  readonly positions: number;
  /**
   * Whether samples are lines: token 0 begins and ends a line and fills the rest of the sample. A position after the
   * first whose token is 0 predicts nothing.
   */
  readonly lines?: true;
}

/** Classes, one or more values to learn, or next tokens. */
export type TargetField = ClassField | Field<'f32', 'value'> | NextField;

/** One class a sample. */
export const classField: ClassField = { dtype: 'u16', shape: [], role: 'index' };

/** Bytes that a model sees as byte / 255. */
export const scaledField = (shape: readonly number[]): Field<'u8', 'scaled'> => ({
  dtype: 'u8',
  shape,
  role: 'scaled',
});

/** Floats as they are. */
export const valueField = (shape: readonly number[]): Field<'f32', 'value'> => ({ dtype: 'f32', shape, role: 'value' });

/** Tokens of a text. @param length tokens of a sample @param tokens size of the vocabulary, at most `maxTokens` */
export function tokenField(length: number, tokens: number): TokenField {
  return { dtype: tokens <= 256 ? 'u8' : 'u16', shape: [length], role: 'index', tokens };
}

/** Mean and deviation of standardized values: `(given - mean) / deviation`. */
export interface Standardization {
  readonly mean: number;
  readonly deviation: number;
}

/** Adds the values of all samples to a field, [count, ...shape]. */
type WithValues<F extends Field> = F extends Field<infer D> ? F & { readonly values: Arrays[D] } : never;

/** A field of samples, with its values. */
export type Samples = WithValues<SampleField>;

/** Numbers of a sample's classes or values, with a name for each class, value or token. */
export type Targets =
  | (WithValues<ClassField> & { readonly names: readonly string[] })
  | (WithValues<Field<'f32', 'value'>> & {
      readonly names: readonly string[];
      /** Shared by all values; omitted if the values are as given. */
      readonly standardization?: Standardization | undefined;
    })
  | (WithValues<NextField> & { readonly names: readonly string[] });

/** Values of samples, one sample after another. */
export type SampleValues = Samples['values'];

/** Classes [count], values [count, outputs], or nothing. */
export type TargetValues = Targets['values'];

/** Labeled samples of one shape. */
export interface Dataset {
  readonly samples: Samples;
  readonly targets: Targets;
  readonly count: number;
}

/** Maximum number of classes, whose labels are 16-bit numbers. */
export const maxClasses = 65_535;
const maxOutputs = 65_535;
/** Maximum number of different tokens, which are classes to predict. */
export const maxTokens = maxClasses;

/** Returns samples: bytes that a model sees as byte / 255, or floats that it sees as they are. */
export function samplesOf(values: Uint8Array | Float32Array, shape: readonly number[]): Samples {
  return values instanceof Uint8Array ? { ...scaledField(shape), values } : { ...valueField(shape), values };
}

/** Returns samples of `length` tokens each. @param values [count, length]; bytes if there are at most 256 tokens */
export function tokenSamples(values: Uint8Array | Uint16Array, length: number, tokens: number): Samples {
  return { ...tokenField(length, tokens), values };
}

/** Returns memory for tokens: bytes if there are at most 256 different ones. @returns zeros */
export function tokenArray(length: number, tokens: number): Uint8Array | Uint16Array {
  return new arrays[tokenField(1, tokens).dtype](length);
}

/** Returns targets that are the next tokens of the samples. @param names text of each token */
export function nextTargets(names: readonly string[], positions: number, lines = false): Targets {
  return { ...nextField(positions, lines), values: new Uint8Array(), names };
}

/** The next tokens. @param positions mean number of predicted tokens in a sample @param lines whether samples are lines */
export function nextField(positions: number, lines = false): NextField {
  return { dtype: 'u8', shape: [0], role: 'next', positions, ...(lines && { lines }) };
}

/** Returns targets that are classes. @param labels [count], each below `names.length` */
export function classTargets(labels: Uint16Array, names: readonly string[]): Targets {
  return { ...classField, values: labels, names };
}

/** Returns targets that are values. @param values [count, names.length] */
export function valueTargets(
  values: Float32Array,
  names: readonly string[],
  standardization?: Standardization,
): Targets {
  checkArguments('valueTargets', [argumentKinds.numbers, values], [argumentKinds.names, names]);
  const field = { ...valueField([names.length]), values, names };
  return standardization ? { ...field, standardization } : field;
}

/** Properties of a field besides dtype, shape and role. */
const fieldExtras = ['classWeights', 'tokens', 'positions', 'lines'] as const;

type WithoutValues<F extends Field> = F extends unknown
  ? Pick<F, 'dtype' | 'shape' | 'role' | Extract<keyof F, (typeof fieldExtras)[number]>>
  : never;

/** Returns a field without its values and names. */
export function fieldOf<F extends Samples | Targets>(field: F): WithoutValues<F> {
  const { dtype, shape, role } = field;
  const given = field as Partial<Record<(typeof fieldExtras)[number], unknown>>;
  const extras = fieldExtras.filter((name) => given[name] !== undefined).map((name) => [name, given[name]]);
  return { dtype, shape, role, ...Object.fromEntries(extras) } as WithoutValues<F>;
}

/** Words for targets, by role. */
export const targetWords = {
  index: { one: 'class', many: 'classes' },
  value: { one: 'value', many: 'values' },
  next: { one: 'token', many: 'next tokens' },
} as const satisfies Readonly<Record<TargetField['role'], object>>;

/** Returns the number of values of one sample. */
export function sizeOfField({ shape }: Pick<Field, 'shape'>): number {
  return shape.reduce((size, length) => size * length, 1);
}

/** Returns the bytes that one sample takes in memory and in messages. */
export function bytesOfField(field: Field): number {
  return sizeOfField(field) * arrays[field.dtype].BYTES_PER_ELEMENT;
}

/** Returns the bytes of a sample and its target. */
export function bytesPerSample({ samples, targets }: { readonly samples: Field; readonly targets: Field }): number {
  return bytesOfField(samples) + bytesOfField(targets);
}

const samplesKind = objectWith('samples with dtype, shape, role and values', 'dtype', 'shape', 'role', 'values');
const targetsKind = objectWith(
  'targets with dtype, shape, role, values and names',
  ...['dtype', 'shape', 'role', 'values', 'names'],
);

/**
 * Refuses a data set whose parts do not fit together, or that contains a number that is not finite.
 * @param name prefix of the error message
 * @throws DataError
 */
export function checkDataset(dataset: Dataset, name: string): void {
  checkArguments('checkDataset', [argumentKinds.dataset, dataset], [argumentKinds.text, name]);
  const fault = partFault(dataset) ?? shapeFault(dataset) ?? targetsFault(dataset) ?? samplesFault(dataset);
  if (fault !== undefined) throw new DataError(`${name}: ${fault}`);
}

function partFault({ samples, targets }: Dataset): string | undefined {
  for (const [{ expected, accepts }, part] of [
    [samplesKind, samples],
    [targetsKind, targets],
  ] as const) {
    if (!accepts(part)) return `expected ${expected}, got ${shownValue(part)}`;
  }
  return undefined;
}

function shapeFault({ count, samples: { shape, values } }: Dataset): string | undefined {
  if (!Number.isSafeInteger(count) || count < 1) return `expected at least 1 sample, got ${count}`;
  try {
    if (shape.length === 0) return 'expected the shape of a sample, got none';
    for (const length of shape) checkWhole('the shape of a sample', length, 1);
  } catch (error) {
    return (error as Error).message;
  }
  const expected = count * sizeOfField({ shape });
  if (values.length === expected) return undefined;
  return `expected ${expected} values, ${count} samples of ${shape.join(' x ')}, got ${values.length}`;
}

function samplesFault({ samples }: Dataset): string | undefined {
  if (samples.role === 'scaled') return undefined;
  if (samples.role === 'value') return finiteFault(samples, (position) => `value ${position}`);
  const { tokens, values, dtype, shape } = samples;
  if (shape.length !== 1)
    return `expected samples of text that are lists of tokens, got the shape ${shape.join(' x ')}`;
  if (!(tokens >= 2 && tokens <= maxTokens)) return `expected from 2 to ${maxTokens} different tokens, got ${tokens}`;
  const expected = tokenField(1, tokens).dtype;
  if (dtype !== expected) return `expected ${expected} for ${tokens} different tokens, got ${dtype}`;
  const at = firstAtLeast(values, tokens);
  if (at < 0) return undefined;
  return `expected tokens from 0 to ${tokens - 1}, got ${values[at]} in sample ${Math.floor(at / sizeOfField(samples))}`;
}

/** Returns the index of the first number that is `limit` or more; -1 if there is none. */
function firstAtLeast(values: Uint8Array | Uint16Array, limit: number): number {
  for (let at = 0; at < values.length; at += 1) if (values[at]! >= limit) return at;
  return -1;
}

function targetsFault({ count, samples, targets }: Dataset): string | undefined {
  const { names, values } = targets;
  if (targets.role === 'next') return nextFault(samples, targets);
  const expected = count * sizeOfField(targets);
  if (values.length !== expected) return `expected ${expected} targets, got ${values.length}`;
  if (targets.role === 'value') {
    if (names.length < 1 || names.length > maxOutputs) {
      return `expected from 1 to ${maxOutputs} values to learn for each sample, got ${names.length}`;
    }
    return finiteFault(targets, (position) => `the target ${JSON.stringify(names[position])}`);
  }
  if (names.length < 2 || names.length > maxClasses) {
    return `expected from 2 to ${maxClasses} classes, got ${names.length}`;
  }
  const { classWeights = names } = targets;
  if (classWeights.length !== names.length) {
    return `expected ${names.length} weights of classes, got ${classWeights.length}`;
  }
  const wrong = firstAtLeast(targets.values, names.length);
  if (wrong < 0) return undefined;
  return `expected labels from 0 to ${names.length - 1}, got ${values[wrong]} at sample ${wrong}`;
}

function nextFault(samples: Samples, { names, positions }: Extract<Targets, NextField>): string | undefined {
  if (samples.role !== 'index') return `expected samples of tokens to predict the next one, got ${samples.role}`;
  if (names.length !== samples.tokens) return `expected names of ${samples.tokens} tokens, got ${names.length}`;
  const length = sizeOfField(samples);
  if (length < 2) return `expected samples of at least 2 tokens, got ${length}`;
  if (positions > 0 && positions < length) return undefined;
  return `expected from 1 to ${length - 1} predicted positions in a sample of ${length} tokens, got ${positions}`;
}

function finiteFault(field: WithValues<Field<'f32', 'value'>>, what: (position: number) => string): string | undefined {
  const { values } = field;
  const size = sizeOfField(field);
  let at = 0;
  // A loop is much faster than a callback for each value, and a server waits for this check.
  while (at < values.length && Number.isFinite(values[at])) at += 1;
  if (at === values.length) return undefined;
  return `expected finite numbers, got ${values[at]} as ${what(at % size)} of sample ${Math.floor(at / size)}`;
}

/** A copy of some samples. */
export interface SampleBatch {
  readonly samples: SampleValues;
  readonly targets: TargetValues;
  readonly count: number;
}

/** Copies the samples at positions `[from, to)` of a permutation. @throws RangeError if there is no such sample */
export function gatherSamples(dataset: Dataset, permutation: Uint32Array, from: number, to: number): SampleBatch {
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
    samples: gatherValues(dataset.samples, indices),
    targets: gatherValues(dataset.targets, indices),
    count: indices.length,
  };
}

/** Copies the rows with these indices out of `values` [rows, size]. @throws RangeError if an index is out of range */
export function gatherRows<Values extends Arrays[Dtype]>(values: Values, size: number, indices: Uint32Array): Values {
  const picked = numbersLike(values, indices.length * size);
  if (size === 0) return picked;
  const rows = values.length / size;
  for (let row = 0; row < indices.length; row += 1) {
    const index = indices[row]!;
    if (index >= rows) throw new RangeError(`gather: expected rows below ${rows}, got ${index}`);
    if (size === 1) picked[row] = values[index]!;
    else picked.set(values.subarray(index * size, (index + 1) * size), row * size);
  }
  return picked;
}

/** Returns zeros of the same dtype. */
export function numbersLike<Values extends Arrays[Dtype]>(values: Values, length: number): Values {
  const dtype = values instanceof Uint8Array ? 'u8' : values instanceof Uint16Array ? 'u16' : 'f32';
  return new arrays[dtype](length) as Arrays[Dtype] as Values;
}

/** Copies the values of the samples with these indices. @throws RangeError if an index is out of range */
export function gatherValues<F extends Samples | Targets>(field: F, indices: Uint32Array): F['values'] {
  return gatherRows(field.values, sizeOfField(field), indices);
}

/** Copies the samples with these indices, in this order. @throws RangeError if an index is out of range */
export function takeSamples({ samples, targets }: Dataset, indices: Uint32Array): Dataset {
  return { samples: takeRows(samples, indices), targets: takeRows(targets, indices), count: indices.length };
}

export function takeRows<F extends Samples | Targets>(field: F, indices: Uint32Array): F {
  return { ...field, values: gatherValues(field, indices) };
}

/**
 * Copies the samples of `first`, then the samples of `second`, into new memory.
 * Both must have the same sample shape, types and names.
 * @throws RangeError if their shapes or types differ
 */
export function concatDatasets(first: Dataset, second: Dataset): Dataset {
  checkArguments('concatDatasets', [argumentKinds.dataset, first], [argumentKinds.dataset, second]);
  return {
    samples: concatFields('samples', first.samples, second.samples),
    targets: concatFields('targets', first.targets, second.targets),
    count: first.count + second.count,
  };
}

function concatFields<F extends Samples | Targets>(what: string, first: F, second: F): F {
  const [expected, got] = [first, second].map((field) => {
    const tokens = 'tokens' in field ? ` of ${field.tokens} tokens` : '';
    return `${field.dtype} [${field.shape.join(' x ')}]${tokens}`;
  });
  if (got !== expected) throw new RangeError(`expected ${what} that are ${expected}, got ${got}`);
  const values = new arrays[first.dtype](first.values.length + second.values.length);
  values.set(first.values);
  values.set(second.values, first.values.length);
  return { ...first, values };
}

type ReadSamples = () => SampleValues;

/** For each movable data set: replaces the function that reads its samples. */
const movers = new WeakMap<Dataset, (read: ReadSamples) => void>();

/**
 * Returns the same data set, with samples that `moveSamples` may move.
 * Nothing else may hold the samples, and their buffer must contain nothing else: a move leaves all arrays on it empty.
 */
export function movableSamples(given: Dataset): Dataset {
  checkArguments('movableSamples', [argumentKinds.dataset, given]);
  const { samples, targets, count } = given;
  let read = constant(samples.values);
  const movable = {
    ...samples,
    get values() {
      return read();
    },
  } as Samples;
  const dataset = { samples: movable, targets, count };
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

/**
 * Returns the same samples with weights of their classes. Samples that can be moved still can.
 * @throws Error if targets are values
 */
export function weightClasses(given: Dataset, classWeights: readonly number[]): Dataset {
  checkArguments('weightClasses', [argumentKinds.dataset, given]);
  const { targets } = given;
  if (targets.role !== 'index') {
    throw new Error(`weightClasses: expected targets that are classes, got ${targetWords[targets.role].many}`);
  }
  const weighted = { ...given, targets: { ...targets, classWeights } };
  const mover = movers.get(given);
  if (mover) movers.set(weighted, mover);
  return weighted;
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
