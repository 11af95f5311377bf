/** Description of a model in its file, besides the weights: the strings of the safetensors metadata. */
import { formatShape, type Shape, sizeOf } from '@lockstep/tensor';
import * as v from 'valibot';
import { check, wholeNumber } from './check.ts';
import type { TargetType } from './losses.ts';
import { inputSize, type Model, outputCount, parseModel } from './model.ts';
import { type Reading, readingSchema, rowSize } from './reading.ts';
import { byteDivisor, type SampleValues } from './sample-input.ts';
import { type Standardization, standardizationSchema } from './standardization.ts';

const scalingSchema = v.variant('type', [
  v.strictObject({ type: v.literal('byte'), divisor: v.literal(byteDivisor) }),
  v.strictObject({ type: v.literal('none') }),
]);

/**
 * Scaling from a sample's value to the model's input.
 * `byte`: a whole number from 0 to 255, divided by `divisor`; `none`: a float, unchanged.
 */
export type Scaling = v.InferOutput<typeof scalingSchema>;

/** Scaling of bytes: the model's input is byte / 255. */
export const byteScaling: Scaling = { type: 'byte', divisor: byteDivisor };

/** Returns the scaling of these samples: byte / 255 for bytes, none for floats. */
export function scalingOf(samples: SampleValues): Scaling {
  return samples instanceof Uint8Array ? byteScaling : { type: 'none' };
}

/** Everything needed to use a model, except its weights. */
export interface ModelDescription {
  readonly model: Model;
  /** Type of the outputs, and one name per output, in order. */
  readonly targets: {
    readonly type: TargetType;
    readonly names: readonly string[];
    /** Standardization of the outputs; omitted if they are in the unit of the original values. */
    readonly standardization?: Standardization | undefined;
  };
  /** Shape of a sample before the model flattens it: [height, width, channels] for an image. */
  readonly sampleShape: Shape;
  readonly scaling: Scaling;
  /** How a file becomes a sample, if the model was trained on tables or pictures. */
  readonly reading?: Reading | undefined;
}

/** Origin of the weights. */
export interface ModelOrigin {
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

const sizes = v.pipe(v.array(wholeNumber(1, 65_536), 'expected a list of sizes'), v.minLength(1, 'expected a size'));
const nameList = v.array(v.string('expected a name'), 'expected a list of names');

/** Encodes a description as metadata; `writeModelFile` adds the model itself. */
export function describeModel(
  { targets, sampleShape, scaling, reading }: Omit<ModelDescription, 'model'>,
  { lockstep, seed, steps, weightsSha256, initSha256 }: ModelOrigin,
): Record<string, string> {
  return {
    [targets.type]: JSON.stringify(targets.names),
    sampleShape: JSON.stringify(sampleShape),
    scaling: JSON.stringify(scaling),
    ...(targets.standardization && { standardization: JSON.stringify(targets.standardization) }),
    ...(reading === undefined ? {} : { reading: JSON.stringify(reading) }),
    lockstep,
    seed: `${seed}`,
    steps: `${steps}`,
    weightsSha256,
    ...(initSha256 === undefined ? {} : { initSha256 }),
  };
}

/**
 * Parses the metadata of a model file.
 * Missing parts have defaults: classes are numbered from 0, samples have the shape of the model's input and are bytes.
 * @param given the expected model; required if the file has no layer list
 * @throws Error with one sentence if there is no layer list, a part is invalid, or the layers differ from `given`
 */
export function parseDescription(metadata: Readonly<Record<string, string>>, given?: Model): ModelDescription {
  const model = modelOf(metadata, given);
  const part = <Value>(name: string, schema: v.GenericSchema<unknown, Value>, fallback: Value): Value =>
    metadata[name] === undefined ? fallback : check(`model file: ${name}`, schema, parseJson(name, metadata[name]));
  const count = outputCount(model);
  const type = metadata['values'] === undefined ? 'classes' : 'values';
  const names = part<readonly string[]>(type, nameList, numberedClasses(count));
  if (names.length !== count) {
    throw new Error(`model file: ${type}: expected ${count} names, one for each output, got ${names.length}`);
  }
  const sampleShape = part<Shape>('sampleShape', sizes, model.input);
  if (sizeOf(sampleShape) !== inputSize(model)) {
    const expected = `${inputSize(model)} values, as the model takes`;
    throw new Error(`model file: sampleShape: expected ${expected}, got ${formatShape(sampleShape)}`);
  }
  const reading = part<Reading | undefined>('reading', readingSchema, undefined);
  if (reading?.type === 'rows' && rowSize(reading) !== sizeOf(sampleShape)) {
    const expected = `columns of ${sizeOf(sampleShape)} values, as the model takes`;
    throw new Error(`model file: reading: expected ${expected}, got ${rowSize(reading)}`);
  }
  const scaling = part<Scaling>('scaling', scalingSchema, byteScaling);
  const standardization = part<Standardization | undefined>('standardization', standardizationSchema, undefined);
  if (standardization && type === 'classes') {
    throw new Error('model file: standardization: expected values that are standardized, got classes');
  }
  return {
    model,
    targets: { type, names, ...(standardization && { standardization }) },
    sampleShape,
    scaling,
    ...(reading && { reading }),
  };
}

/** Returns the names `0`, `1`, …, for classes without names. */
export function numberedClasses(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${index}`);
}

/**
 * Describes the first difference between two models that affects predictions, for an error message; undefined if there
 * is none. Model names, initializers and dropout rates do not affect predictions.
 */
function architectureFault(expected: Model, got: Model): string | undefined {
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

function essence(layer: Model['layers'][number] | undefined): string {
  if (layer === undefined) return 'none';
  const { type, ...settings } = layer as Readonly<Record<string, unknown>>;
  const names = Object.keys(settings).filter((name) => name !== 'init' && name !== 'rate');
  return JSON.stringify({ type, ...Object.fromEntries(names.sort().map((name) => [name, settings[name]])) });
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
