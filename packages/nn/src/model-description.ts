/** What a model file says of its model beside the weights, as the strings of safetensors metadata. */
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
 * How a value of a sample becomes what the model sees. `byte`: a whole number from 0 to 255, divided by `divisor`;
 * `none`: a float, as it is.
 */
export type Scaling = v.InferOutput<typeof scalingSchema>;

/** Of bytes, which a model sees as byte / 255. */
export const byteScaling: Scaling = { type: 'byte', divisor: byteDivisor };

/** How a model sees these samples: bytes as byte / 255, floats as they are. */
export function scalingOf(samples: SampleValues): Scaling {
  return samples instanceof Uint8Array ? byteScaling : { type: 'none' };
}

/** What it takes to use a model. */
export interface ModelDescription {
  readonly model: Model;
  /** What the outputs are, and one name for each, in their order. */
  readonly targets: {
    readonly type: TargetType;
    readonly names: readonly string[];
    /** Of the values that the model gives; left out where they are in the unit of those that it learned. */
    readonly standardization?: Standardization | undefined;
  };
  /** Of a sample before the model flattens it: [height, width, channels] of an image. */
  readonly sampleShape: Shape;
  readonly scaling: Scaling;
  /** How a file becomes a sample, where the model learned from tables or pictures. */
  readonly reading?: Reading | undefined;
}

/** Where the weights come from. */
export interface ModelOrigin {
  /** Version of Lockstep. */
  readonly lockstep: string;
  readonly seed: number;
  /** Steps that the weights have taken. */
  readonly steps: number;
  /** SHA-256 of the flat vector of parameters, float32, little-endian. */
  readonly weightsSha256: string;
  /** The same of the weights that the run began with, where they were given and not drawn from the seed. */
  readonly initSha256?: string | undefined;
}

const sizes = v.pipe(v.array(wholeNumber(1, 65_536), 'expected a list of sizes'), v.minLength(1, 'expected a size'));
const nameList = v.array(v.string('expected a name'), 'expected a list of names');

/** `writeModelFile` adds the model itself. */
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
 * What a model file says of its model.
 * What a file does not say has its default: classes are numbered from 0, samples have the shape of the model's input
 * and are bytes.
 * @param metadata of a model file
 * @param given the layer list of a file that has none
 * @throws Error with one sentence where there is no layer list, a part is invalid, or the file's layers are not the given ones
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

/** `0`, `1`, …: for data whose classes have no names of their own. */
export function numberedClasses(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${index}`);
}

/**
 * The first difference between two models that matters to what they compute, as what follows a name and a colon;
 * undefined where there is none. Names, initializers and what dropout drops in training do not matter.
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
