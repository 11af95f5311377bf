/** Model files: a description and the weights, in the layout that PyTorch reads. */

import {
  checkArguments,
  classField,
  maxTokens,
  nextField,
  type SampleField,
  type Standardization,
  scaledField,
  type TargetField,
  targetWords,
  tokenField,
  tokenNames,
  type Vocabulary,
  valueField,
} from '@lockstep/data';
import type { Reading } from '@lockstep/data/readers';
import { formatShape, type Shape, sizeOf } from '@lockstep/tensor';
import * as v from 'valibot';
import { check, kinds, positive, wholeNumberFrom } from './check.ts';
import { gpt2Tensors, isGpt2Mask } from './gpt2.ts';
import { fromTorch, toTorch } from './layer-kind.ts';
import {
  checkParameterCount,
  embeddingOf,
  inputSize,
  type Model,
  outputCount,
  parameterLayout,
  parseModel,
  totalSize,
} from './model.ts';
import { byteDivisor } from './plans.ts';
import { type NamedTensor, readSafetensors, type SafetensorsFile, writeSafetensors } from './safetensors.ts';
import { finite, standardizationSchema } from './standardization.ts';

/** Converts the parameters [parameterCount] to tensors with PyTorch's names, order and layouts. */
export function torchTensors(model: Model, parameters: Float32Array): NamedTensor[] {
  checkArguments('torchTensors', [kinds.model, model], [kinds.numbers, parameters]);
  const layout = parameterLayout(model);
  checkParameterCount(model, layout, parameters.length);
  return layout.map((parameter) => {
    const values = parameters.subarray(parameter.offset, parameter.offset + parameter.size);
    return { name: parameter.name, shape: parameter.torch.shape, values: toTorch(values, parameter.torch) };
  });
}

/**
 * Returns the bytes of a safetensors file with a model and its weights.
 * `parameters` is the flat vector `[parameterCount]`; the model itself goes into the metadata under `model`.
 */
export function writeModelFile(
  model: Model,
  parameters: Float32Array,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  checkArguments('writeModelFile', [kinds.model, model], [kinds.numbers, parameters], [kinds.metadata, metadata]);
  const tensors = torchTensors(model, parameters);
  return writeSafetensors({ tensors, metadata: { format: 'pt', model: JSON.stringify(model), ...metadata } });
}

/**
 * Reads the tensors of a model file. Those of GPT-2 get their full names, without masks and copies.
 * Throws one sentence if the file is not in the safetensors format, or a copy differs.
 */
export function readTensors(bytes: Uint8Array): SafetensorsFile {
  checkArguments('readTensors', [kinds.bytes, bytes]);
  const { tensors, metadata } = readSafetensors(bytes, isGpt2Mask);
  return { tensors: gpt2Tensors(tensors), metadata };
}

/**
 * Returns the flat vector of a file's parameters.
 * Throws one sentence if names or shapes differ from the model's.
 */
export function readModelFile(model: Model, bytes: Uint8Array): Float32Array {
  checkArguments('readModelFile', [kinds.model, model], [kinds.bytes, bytes]);
  const layout = parameterLayout(model);
  const { tensors } = readTensors(bytes);
  const names = new Set(layout.map(({ name }) => name));
  const unknown = tensors.find(({ name }) => !names.has(name));
  if (unknown) throw new Error(`model ${model.name}: the file holds ${unknown.name}, which the model does not have`);
  const parameters = new Float32Array(totalSize(layout));
  for (const parameter of layout) {
    const tensor = tensors.find(({ name }) => name === parameter.name);
    if (!tensor) throw new Error(`model ${model.name}: the file lacks ${parameter.name}`);
    const expected = parameter.torch.shape;
    if (tensor.shape.join() !== expected.join()) {
      const got = formatShape(tensor.shape);
      throw new Error(`model ${model.name}: ${parameter.name}: expected ${formatShape(expected)}, got ${got}`);
    }
    parameters.set(fromTorch(tensor.values, parameter.torch), parameter.offset);
  }
  return parameters;
}

const name = v.string('expected a name');

const columnSchema = v.variant('type', [
  v.strictObject({
    type: v.literal('number'),
    name,
    mean: finite,
    deviation: positive,
    missing: v.optional(finite),
  }),
  v.pipe(
    v.strictObject({
      type: v.literal('category'),
      name,
      categories: v.pipe(
        v.array(name, 'expected a list of names'),
        v.minLength(1, 'expected a category'),
        v.readonly(),
      ),
      missing: v.optional(name),
    }),
    v.check(
      ({ categories, missing }) => missing === undefined || categories.includes(missing),
      'expected one of the categories for missing values',
    ),
  ),
]);

const tokenList = v.pipe(v.array(v.string('expected a token'), 'expected a list of tokens'), v.maxLength(maxTokens));
const token = wholeNumberFrom(0, maxTokens);
const vocabularySchema: v.GenericSchema<unknown, Vocabulary> = v.variant('kind', [
  v.strictObject({ kind: v.literal('characters'), tokens: tokenList }),
  v.strictObject({ kind: v.literal('words'), tokens: tokenList }),
  v.strictObject({ kind: v.literal('bytes') }),
  v.strictObject({
    kind: v.literal('merges'),
    merges: v.pipe(
      v.array(v.strictTuple([token, token]), 'expected a list of pairs'),
      v.maxLength(maxTokens),
      v.check(
        (merges) => merges.every((pair, index) => pair.every((part) => part < 256 + index)),
        'expected pairs of tokens that come before their pair',
      ),
    ),
  }),
]);

/** How a file becomes a sample. */
const readingSchema: v.GenericSchema<unknown, Reading> = v.variant('type', [
  v.strictObject({
    type: v.literal('rows'),
    columns: v.pipe(v.array(columnSchema, 'expected a list of columns'), v.readonly()),
    label: v.optional(name),
    missing: v.optional(v.literal('drop')),
  }),
  v.strictObject({
    type: v.literal('text'),
    vocabulary: vocabularySchema,
    lines: v.optional(v.literal(true)),
    table: v.exactOptional(v.strictObject({ column: name, label: name, missing: v.exactOptional(v.literal('drop')) })),
  }),
  v.strictObject({ type: v.literal('pictures'), fit: v.picklist(['cover', 'contain', 'stretch']) }),
]);

/** Returns the number of values that a row becomes. */
function rowSize({ columns }: Extract<Reading, { type: 'rows' }>): number {
  return columns.reduce((sum, column) => sum + (column.type === 'number' ? 1 : column.categories.length), 0);
}

/**
 * In a file, `byte` is a whole number from 0 to 255 that the model sees divided by `divisor`; `none` is a float; `token` is
 * a number below `tokens`.
 */
const scalingSchema = v.variant('type', [
  v.strictObject({ type: v.literal('byte'), divisor: v.literal(byteDivisor) }),
  v.strictObject({ type: v.literal('none') }),
  v.strictObject({ type: v.literal('token'), tokens: wholeNumberFrom(2, maxTokens) }),
]);

/** Properties of next tokens, besides their names. */
const nextSchema = v.strictObject({ positions: positive, lines: v.exactOptional(v.literal(true)) });

const byteScaling = { type: 'byte', divisor: byteDivisor } as const;

/** Everything needed to use a model, except its weights. */
export interface ModelDescription {
  readonly model: Model;
  /** A sample before the model flattens it: [height, width, channels] for an image. */
  readonly samples: SampleField;
  /** The learned classes or values, and one name per output, in order. */
  readonly targets: TargetField & {
    readonly names: readonly string[];
    /** Standardization of the outputs; omitted if they are in the unit of the original values. */
    readonly standardization?: Standardization | undefined;
  };
  /** How a file becomes a sample, if the model was trained on tables or pictures. */
  readonly reading?: Reading | undefined;
}

/** Origin of the weights. */
interface ModelOrigin {
  /** Version of Lockstep. */
  readonly lockstep: string;
  readonly seed: number;
  /** Number of training steps taken. */
  readonly steps: number;
  /** SHA-256 of the flat vector of parameters, float32, little-endian. */
  readonly weightsSha256: string;
  /** SHA-256 of the initial weights, if they were given and not drawn from the seed. */
  readonly initSha256?: string | undefined;
}

const sizes = v.pipe(
  v.array(wholeNumberFrom(1, 65_536), 'expected a list of sizes'),
  v.minLength(1, 'expected a size'),
);

const nameList = v.array(v.string('expected a name'), 'expected a list of names');

/** Encodes a description as metadata; `writeModelFile` adds the model itself. */
export function describeModel(
  description: Omit<ModelDescription, 'model'>,
  origin: ModelOrigin,
): Record<string, string> {
  checkArguments('describeModel', [kinds.description, description], [kinds.origin, origin]);
  const { samples, targets, reading } = description;
  const { lockstep, seed, steps, weightsSha256, initSha256 } = origin;
  const scalings = {
    scaled: () => byteScaling,
    value: () => ({ type: 'none' }),
    index: () => ({ type: 'token', tokens: samples.role === 'index' ? samples.tokens : 0 }),
  };
  return {
    ...describeTargets(targets, reading),
    sampleShape: JSON.stringify(samples.shape),
    scaling: JSON.stringify(scalings[samples.role]()),
    ...(targets.standardization && { standardization: JSON.stringify(targets.standardization) }),
    ...(reading === undefined ? {} : { reading: JSON.stringify(reading) }),
    lockstep,
    seed: `${seed}`,
    steps: `${steps}`,
    weightsSha256,
    ...(initSha256 === undefined ? {} : { initSha256 }),
  };
}

function describeTargets(
  targets: ModelDescription['targets'],
  reading: Reading | undefined,
): Readonly<Record<string, string>> {
  const names = JSON.stringify(targets.names);
  if (targets.role !== 'next') return { [targetWords[targets.role].many]: names };
  const { positions, lines } = targets;
  // A vocabulary has the names of its tokens.
  const tokens = reading?.type === 'text' ? {} : { tokens: names };
  return { next: JSON.stringify({ positions, ...(lines && { lines }) }), ...tokens };
}

/**
 * Parses the metadata of a model file.
 * Missing parts have defaults: classes are numbered from 0, samples have the shape of the model's input and are bytes.
 * @param given the expected model; required if the file has no layer list
 * @throws Error with one sentence if there is no layer list, a part is invalid, or the layers differ from `given`
 */
export function parseDescription(metadata: Readonly<Record<string, string>>, given?: Model): ModelDescription {
  checkArguments('parseDescription', [kinds.metadata, metadata]);
  if (given !== undefined) checkArguments('parseDescription', [kinds.model, given]);
  const model = modelOf(metadata, given);
  const part = <Value>(name: string, schema: v.GenericSchema<unknown, Value>, fallback: Value): Value =>
    metadata[name] === undefined ? fallback : check(`model file: ${name}`, schema, parseJson(name, metadata[name]));
  const count = outputCount(model);
  const next = part<v.InferOutput<typeof nextSchema> | undefined>('next', nextSchema, undefined);
  const type = next ? 'tokens' : metadata['values'] === undefined ? 'classes' : 'values';
  const reading = part<Reading | undefined>('reading', readingSchema, undefined);
  const known = next && reading?.type === 'text' ? tokenNames(reading.vocabulary) : numberedClasses(count);
  const names = part<readonly string[]>(type, nameList, known);
  if (names.length !== count) {
    throw new Error(`model file: ${type}: expected ${count} names, one for each output, got ${names.length}`);
  }
  const inputs = inputSize(model) + (next ? 1 : 0);
  const sampleShape = part<Shape>('sampleShape', sizes, next ? [inputs] : model.input);
  if (sizeOf(sampleShape) !== inputs) {
    const expected = `${inputs} values, the input of the model${next ? ' and a token to predict' : ''}`;
    throw new Error(`model file: sampleShape: expected ${expected}, got ${formatShape(sampleShape)}`);
  }
  if (reading?.type === 'rows' && rowSize(reading) !== sizeOf(sampleShape)) {
    const expected = `columns of ${sizeOf(sampleShape)} values, the input of the model`;
    throw new Error(`model file: reading: expected ${expected}, got ${rowSize(reading)}`);
  }
  const scaling = part<v.InferOutput<typeof scalingSchema>>('scaling', scalingSchema, byteScaling);
  const standardization = part<Standardization | undefined>('standardization', standardizationSchema, undefined);
  if (standardization && type !== 'values') {
    throw new Error(`model file: standardization: expected values that are standardized, got ${type}`);
  }
  return {
    model,
    samples:
      scaling.type === 'byte'
        ? scaledField(sampleShape)
        : scaling.type === 'none'
          ? valueField(sampleShape)
          : tokenField(sizeOf(sampleShape), scaling.tokens),
    targets: next
      ? { ...nextField(next.positions, next.lines), names }
      : type === 'classes'
        ? { ...classField, names }
        : { ...valueField([count]), names, ...(standardization && { standardization }) },
    ...(reading && { reading }),
  };
}

/** Returns the names `0`, `1`, …, for classes without names. */
export function numberedClasses(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${index}`);
}

/**
 * Describes the first difference between two models that affects predictions, for an error message; undefined if there
 * is none. Model names and settings for training do not affect predictions.
 */
function architectureFault(expected: Model, got: Model): string | undefined {
  const [vocabulary, other] = [expected, got].map((model) => embeddingOf(model)?.tokens);
  if (vocabulary !== undefined && other !== undefined) {
    if (vocabulary !== other) return `expected a vocabulary of ${vocabulary} tokens, got ${other}`;
    const [context, given] = [expected, got].map(inputSize);
    if (context !== given) return `expected a context of ${context} tokens, got ${given}`;
  }
  if (expected.input.join() !== got.input.join()) {
    return `expected an input of ${formatShape(expected.input)}, got ${formatShape(got.input)}`;
  }
  const count = Math.max(expected.layers.length, got.layers.length);
  for (let index = 0; index < count; index++) {
    const [want, have] = [expected, got].map(({ layers }) => essence(layers[index]));
    if (want !== have) return `expected layers[${index}] ${want}, got ${have}`;
  }
  return undefined;
}

/** Settings of layers that do not affect predictions. */
const trainingSettings = ['init', 'projectionInit', 'rate', 'dropout'];

/** Returns the layer as JSON: its type, then the other settings that affect predictions, sorted by name. */
function essence(layer: Model['layers'][number] | undefined): string {
  if (layer === undefined) return 'none';
  return JSON.stringify(layer, (name, value: unknown) => {
    if (trainingSettings.includes(name)) return undefined;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
    const { type, ...settings } = value as Readonly<Record<string, unknown>>;
    return { type, ...Object.fromEntries(Object.entries(settings).sort()) };
  });
}

function modelOf({ model: text }: Readonly<Record<string, string>>, given: Model | undefined): Model {
  if (text === undefined) {
    if (given) return given;
    throw new Error('model file: expected its layer list in the metadata, got none: give the model as well');
  }
  const model = parseModel(parseJson('model', text));
  const fault = given && architectureFault(given, model);
  if (fault !== undefined) throw new Error(`model file: ${fault}`);
  return model;
}

function parseJson(name: string, text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? '');
  } catch {
    throw new Error(`model file: ${name}: expected JSON in the metadata, got a text that cannot be read`);
  }
}
