/** Decodes a picture and scales it to what a model takes. */
import { errorMessage } from '@lockstep/command';
import type { Sharp } from 'sharp';

export interface PictureSize {
  readonly height: number;
  readonly width: number;
  /** 1: gray, 3: red, green and blue. */
  readonly channels: 1 | 3;
}

export interface Picture {
  /** u8, [height, width, channels]. */
  readonly values: Uint8Array;
  /** What was done to the picture, for people. */
  readonly reading: string;
}

const formats: readonly string[] = ['png', 'jpeg', 'webp'];
const expected = 'expected a PNG, JPEG or WebP picture, or a .json file of values';

/** @throws Error with one sentence where the bytes are no such picture, or a damaged one */
export async function readPicture(bytes: Uint8Array, size: PictureSize, invert: boolean): Promise<Picture> {
  const { default: sharp } = await loadSharp();
  try {
    const image = sharp(bytes);
    const { format, autoOrient, channels, hasAlpha } = await image.metadata();
    if (!formats.includes(format)) throw new Error(`its format is ${format}`);
    const pixels = await scaled(image, autoOrient, size, hasAlpha);
    const values = invert ? pixels.map((value) => 255 - value) : pixels;
    const isGray = channels - Number(hasAlpha) === 1;
    return { values, reading: readingOf({ ...autoOrient, isGray, hasAlpha }, size, invert) };
  } catch (error) {
    throw new Error(`${expected}, got one that cannot be read: ${oneLine(errorMessage(error))}`);
  }
}

/** Loaded on demand: it has a native part, which not every machine can have. */
async function loadSharp() {
  try {
    return await import('sharp');
  } catch (error) {
    const advice = 'give the pixels as a .json file of values';
    throw new Error(
      `expected the package sharp, which decodes pictures, got none that works here: ${oneLine(errorMessage(error))}; ${advice}`,
    );
  }
}

async function scaled(
  image: Sharp,
  from: { readonly width: number; readonly height: number },
  { height, width, channels }: PictureSize,
  hasAlpha: boolean,
): Promise<Uint8Array> {
  let result = image.autoOrient();
  if (hasAlpha) result = result.flatten({ background: 'white' });
  if (from.width !== width || from.height !== height) result = result.resize(width, height, { fit: 'fill' });
  const raw = result.toColourspace(channels === 1 ? 'b-w' : 'srgb').raw({ depth: 'uchar' });
  const { data, info } = await raw.toBuffer({ resolveWithObject: true });
  if (info.channels !== channels) throw new Error(`it has ${info.channels} channels where ${channels} were asked for`);
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

interface Original {
  readonly width: number;
  readonly height: number;
  readonly isGray: boolean;
  readonly hasAlpha: boolean;
}

function readingOf({ width, height, isGray, hasAlpha }: Original, size: PictureSize, invert: boolean): string {
  const parts = [`${width} x ${height} pixels in ${isGray ? 'gray' : 'color'}`];
  if (hasAlpha) parts.push('transparent parts made white');
  if (width !== size.width || height !== size.height) {
    const isStretched = width * size.height !== height * size.width;
    parts.push(`${isStretched ? 'stretched' : 'scaled'} to ${size.width} x ${size.height}`);
  }
  if (size.channels === 1 && !isGray) parts.push('made gray');
  parts.push(invert ? 'inverted' : 'not inverted');
  return parts.join(', ');
}

function oneLine(text: string): string {
  return text.trim().split('\n')[0]!;
}
