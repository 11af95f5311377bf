/** Reads a file as samples of a model: a picture, a list of values, or the rows of a table. */
import { errorMessage, readInputFile, usageFailure } from '@lockstep/command';
import type { PictureForm } from '@lockstep/data/readers';
import type { SampleValues } from '@lockstep/nn';
import { formatShape, sizeOf } from '@lockstep/tensor';
import type { LoadedModel } from '@lockstep/train';
import { readPicture } from './picture.ts';
import { readTable } from './table.ts';

export interface Sample {
  /** File name, with the line number for a row of a table. */
  readonly file: string;
  /** Values in the form that the model takes. */
  readonly values: SampleValues;
  /** How the file was converted, for people; undefined for rows of a table, since there may be many. */
  readonly reading: string | undefined;
}

type SampleShape = LoadedModel['sampleShape'];
type Values = Omit<Sample, 'file'>;

const maxFileBytes = 2 ** 28;

/** @throws CommandFailure with exit code 2 that names the file */
export async function readSamples(file: string, model: LoadedModel, invert: boolean): Promise<readonly Sample[]> {
  const { sampleShape, scaling, reading } = model;
  if (reading?.type === 'rows') return readTable(file, reading.columns, invert);
  const bytes = readInputFile(file, file.endsWith('.json') ? maxJsonBytes(sampleShape) : maxFileBytes);
  try {
    if (scaling.type === 'none') return [{ file, ...readFloats(file, bytes, sampleShape, invert) }];
    if (file.endsWith('.json')) return [{ file, ...readValues(bytes, sampleShape, invert) }];
    const fit = reading?.fit ?? 'stretch';
    return [{ file, ...(await readPicture(bytes, { ...pictureSize(sampleShape), fit }, invert)) }];
  } catch (error) {
    throw usageFailure(`${file}: ${errorMessage(error)}`);
  }
}

/** Byte limit of a list of the model's inputs, with room for any digits and blanks. */
function maxJsonBytes(shape: SampleShape): number {
  return Math.min(maxFileBytes, 2 ** 20 + 64 * sizeOf(shape));
}

function pictureSize(shape: SampleShape): Omit<PictureForm, 'fit'> {
  const [height, width, channels = 1] = shape;
  if (width !== undefined && shape.length <= 3 && (channels === 1 || channels === 3))
    return { height: height!, width, channels };
  const got = `samples of ${formatShape(shape)}`;
  throw new Error(`expected a model of gray or color pictures, got one of ${got}: give it a .json file of values`);
}

/** Reads values for a model that was trained on floats, which pictures cannot provide. */
function readFloats(file: string, bytes: Uint8Array, shape: SampleShape, invert: boolean): Values {
  if (!file.endsWith('.json'))
    throw new Error('expected a .json file of values, since the model was trained on floats');
  if (invert) throw new Error('expected no --invert, since the model was trained on floats');
  const values = listOf(bytes, shape);
  const wrong = values.findIndex((value) => typeof value !== 'number' || !Number.isFinite(Math.fround(value)));
  if (wrong >= 0) throw new Error(`expected finite numbers, got ${JSON.stringify(values[wrong])} at position ${wrong}`);
  return { values: Float32Array.from(values as number[]), reading: `${values.length} values` };
}

/** A list with as many values as the model takes. */
function listOf(bytes: Uint8Array, shape: SampleShape): unknown[] {
  const size = sizeOf(shape);
  const values = flat(parseJson(bytes));
  if (values.length === size) return values;
  throw new Error(`expected a list of ${size} values, as the model takes, got ${values.length}`);
}

function readValues(bytes: Uint8Array, shape: SampleShape, invert: boolean): Values {
  const values = listOf(bytes, shape);
  const wrong = values.findIndex((value) => !isByte(value));
  if (wrong >= 0) {
    throw new Error(`expected whole numbers from 0 to 255, got ${JSON.stringify(values[wrong])} at position ${wrong}`);
  }
  const numbers = Uint8Array.from(values as number[], (value) => (invert ? 255 - value : value));
  return { values: numbers, reading: `${values.length} values${invert ? ', inverted' : ''}` };
}

function isByte(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 255;
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw new Error(`expected JSON, got a text that cannot be read: ${errorMessage(error)}`);
  }
}

/** Flattens a value in which rows and channels may be nested lists. */
function flat(value: unknown): unknown[] {
  return Array.isArray(value) ? value.flat(3) : [value];
}
