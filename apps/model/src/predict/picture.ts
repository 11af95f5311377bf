/** Reads a picture as what a model takes. */
import { errorMessage } from '@lockstep/command';
import { openSharpDecoder, type SharpPictureInfo } from '@lockstep/data/node';

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

/** @throws Error with one sentence where the bytes are no such picture, or a damaged one */
export async function readPicture(bytes: Uint8Array, size: PictureSize, invert: boolean): Promise<Picture> {
  const decoder = await openDecoder();
  try {
    const original = await decoder.describe(bytes);
    const pixels = await decoder.decode(bytes, { ...size, fit: 'stretch' });
    const values = invert ? pixels.map((value) => 255 - value) : pixels;
    return { values, reading: readingOf(original, size, invert) };
  } catch (error) {
    const expected = 'expected a PNG, JPEG or WebP picture, or a .json file of values';
    throw new Error(`${expected}, got one that cannot be read: ${errorMessage(error)}`);
  }
}

async function openDecoder() {
  try {
    return await openSharpDecoder();
  } catch (error) {
    throw new Error(`${errorMessage(error)}; give the pixels as a .json file of values`);
  }
}

function readingOf({ width, height, hasOneChannel, hasAlpha }: SharpPictureInfo, size: PictureSize, invert: boolean) {
  const parts = [`${width} x ${height} pixels in ${hasOneChannel ? 'gray' : 'color'}`];
  if (hasAlpha) parts.push('transparent parts made white');
  if (width !== size.width || height !== size.height) {
    const isStretched = width * size.height !== height * size.width;
    parts.push(`${isStretched ? 'stretched' : 'scaled'} to ${size.width} x ${size.height}`);
  }
  if (size.channels === 1 && !hasOneChannel) parts.push('made gray');
  parts.push(invert ? 'inverted' : 'not inverted');
  return parts.join(', ');
}
