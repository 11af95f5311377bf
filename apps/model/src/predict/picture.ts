/** Reads a picture as a sample of a model. */
import { errorMessage } from '@lockstep/command';
import { openSharpDecoder, type SharpPictureInfo } from '@lockstep/data/node';
import type { PictureForm } from '@lockstep/data/readers';

export interface Picture {
  /** Pixels as u8, [height, width, channels]. */
  readonly values: Uint8Array;
  /** Description of the conversion, for people. */
  readonly reading: string;
}

const fitWords = { cover: 'scaled and cut', contain: 'scaled with black edges', stretch: 'stretched' } as const;

/** @throws Error with one sentence if the bytes are not a supported picture, or a damaged one */
export async function readPicture(bytes: Uint8Array, form: PictureForm, invert: boolean): Promise<Picture> {
  const decoder = await openDecoder();
  try {
    const original = await decoder.describe(bytes);
    const pixels = await decoder.decode(bytes, form);
    const values = invert ? pixels.map((value) => 255 - value) : pixels;
    return { values, reading: readingOf(original, form, invert) };
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
