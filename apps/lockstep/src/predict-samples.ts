/** Reads a file as samples of a model: a picture, a list of values, or the rows of a table. */

import { readInputFile, usageFailure } from '@lockstep/command';
import { DataError, type SampleValues } from '@lockstep/data';
import { openSharpDecoder, readRows, type SharpPictureInfo } from '@lockstep/data/node';
import { encodeFeatures, encodeTexts, type PictureForm } from '@lockstep/data/readers';
import { errorMessage } from '@lockstep/data/shown';
import { formatShape, sizeOf } from '@lockstep/tensor';
import type { LoadedModel } from '@lockstep/train';
import { textColumnOf } from '@lockstep/train/command-line';

export interface Sample {
  /** File name, with the line number for a row of a table. */
  readonly file: string;
  /** Values in the form that the model takes. */
  readonly values: SampleValues;
  /** How the file was converted, for people; undefined for rows of a table, since there may be many. */
  readonly reading: string | undefined;
  /** Cells of a row's columns that the model does not see, such as an identifier; none of other files. */
  readonly others: Readonly<Record<string, string>>;
}

type SampleShape = LoadedModel['samples']['shape'];
type Values = Pick<Sample, 'values' | 'reading'>;

const maxFileBytes = 2 ** 28;

/** @throws CommandFailure with exit code 2 that names the file */
export async function readSamples(file: string, model: LoadedModel, invert: boolean): Promise<readonly Sample[]> {
  const { samples, reading } = model;
  const { shape } = samples;
  if (reading?.type === 'rows' || textColumnOf(model)) return readTable(file, model, invert);
  const bytes = readInputFile(file, file.endsWith('.json') ? maxJsonBytes(shape) : maxFileBytes);
  try {
    if (samples.role === 'value') return [{ file, others: {}, ...readFloats(file, bytes, shape, invert) }];
    if (file.endsWith('.json')) return [{ file, others: {}, ...readBytes(bytes, shape, invert) }];
    const fit = reading?.type === 'pictures' ? reading.fit : 'stretch';
    return [{ file, others: {}, ...(await readPicture(bytes, { ...pictureSize(shape), fit }, invert)) }];
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
  const fits = (value: number): boolean => Number.isFinite(Math.fround(value));
  const values = listOf(bytes, shape, 'finite numbers', fits);
  return { values: Float32Array.from(values), reading: `${values.length} values` };
}

function readBytes(bytes: Uint8Array, shape: SampleShape, invert: boolean): Values {
  const isByte = (value: number): boolean => Number.isInteger(value) && value >= 0 && value <= 255;
  const values = listOf(bytes, shape, 'whole numbers from 0 to 255', isByte);
  const numbers = Uint8Array.from(values, (value) => (invert ? 255 - value : value));
  return { values: numbers, reading: `${values.length} values${invert ? ', inverted' : ''}` };
}

/** A list with as many values as the model takes; rows and channels may be nested lists. */
function listOf(
  bytes: Uint8Array,
  shape: SampleShape,
  expected: string,
  accepts: (value: number) => boolean,
): readonly number[] {
  const size = sizeOf(shape);
  const json = parseJson(bytes);
  const values: unknown[] = Array.isArray(json) ? json.flat(3) : [json];
  if (values.length !== size) {
    throw new Error(`expected a list of ${size} values, the input of the model, got ${values.length}`);
  }
  const wrong = values.findIndex((value) => typeof value !== 'number' || !accepts(value));
  if (wrong < 0) return values as number[];
  throw new Error(`expected ${expected}, got ${JSON.stringify(values[wrong])} at position ${wrong}`);
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw new Error(`cannot be read as JSON: ${errorMessage(error)}`);
  }
}

const fitWords = { cover: 'scaled and cut', contain: 'scaled with black edges', stretch: 'stretched' } as const;

/**
 * Pixels as u8, [height, width, channels].
 * @throws Error with one sentence if the bytes are not a supported picture, or a damaged one
 */
export async function readPicture(bytes: Uint8Array, form: PictureForm, invert: boolean): Promise<Values> {
  const decoder = await openDecoder();
  try {
    const original = await decoder.describe(bytes);
    const pixels = await decoder.decode(bytes, form);
    const values = invert ? pixels.map((value) => 255 - value) : pixels;
    return { values, reading: readingOf(original, form, invert) };
  } catch (error) {
    const expected = 'expected a PNG, JPEG or WebP picture, or a .json file of values';
    throw new Error(`${expected}, got a file that cannot be read: ${errorMessage(error)}`);
  }
}

async function openDecoder() {
  try {
    return await openSharpDecoder();
  } catch (error) {
    throw new Error(`${errorMessage(error)}; give the pixels as a .json file of values`);
  }
}

function readingOf({ width, height, hasOneChannel, hasAlpha }: SharpPictureInfo, form: PictureForm, invert: boolean) {
  const parts = [`${width} x ${height} pixels in ${hasOneChannel ? 'gray' : 'color'}`];
  if (hasAlpha) parts.push('transparent parts made white');
  if (width !== form.width || height !== form.height) {
    const isSameShape = width * form.height === height * form.width;
    parts.push(`${isSameShape ? 'scaled' : fitWords[form.fit]} to ${form.width} x ${form.height}`);
  }
  if (form.channels === 1 && !hasOneChannel) parts.push('made gray');
  parts.push(invert ? 'inverted' : 'not inverted');
  return parts.join(', ');
}

/** Returns one sample per row; the label column may be missing. @throws CommandFailure with exit code 2 */
async function readTable(file: string, model: LoadedModel, invert: boolean): Promise<readonly Sample[]> {
  if (invert) throw usageFailure(`${file}: expected no --invert, since the model was trained on tables`);
  try {
    const { table } = await readRows(file, 'predict');
    const rows = Uint32Array.from({ length: table.count }, (_, row) => row);
    const text = textColumnOf(model);
    const columns = model.reading?.type === 'rows' ? model.reading.columns : [];
    const values = text ? encodeTexts(table, text, rows) : encodeFeatures(table, columns, rows);
    const size = values.length / table.count;
    const seen = new Set((text ? [text] : columns).map(({ name }) => name));
    const others = table.columns.filter(({ name }) => !seen.has(name));
    return Array.from(rows, (row) => ({
      file: `${file}, ${table.placeOf(row)}`,
      values: values.subarray(row * size, (row + 1) * size),
      reading: undefined,
      others: Object.fromEntries(others.map((column) => [column.name, column.givenAt(row)])),
    }));
  } catch (error) {
    if (error instanceof DataError) throw usageFailure(error.message);
    throw error;
  }
}
