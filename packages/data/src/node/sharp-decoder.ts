/** Decodes pictures with sharp, a package of native code that is loaded on demand; needs Node. */

import { maxPicturePixels } from '../data-error.ts';
import {
  hasNoColor,
  type PictureDecoder,
  type PictureForm,
  type PictureInfo,
  requirePicture,
} from '../pictures/read-pictures.ts';
import { thousands } from '../shown.ts';

/** The part of sharp's interface that is used here: the package and its types may not be installed. */
interface SharpImage {
  metadata(): Promise<{
    readonly channels: number;
    readonly hasAlpha: boolean;
    readonly autoOrient: { readonly width: number; readonly height: number };
  }>;
  autoOrient(): SharpImage;
  flatten(options: { background: string }): SharpImage;
  resize(width: number, height: number, options: { fit: string; background: string }): SharpImage;
  toColourspace(space: 'b-w' | 'srgb'): SharpImage;
  raw(options: { depth: 'uchar' }): SharpImage;
  toBuffer(options: { resolveWithObject: true }): Promise<{
    readonly data: Uint8Array;
    readonly info: { readonly channels: number };
  }>;
}

type Sharp = (bytes: Uint8Array, options: { limitInputPixels: number }) => SharpImage;

export interface SharpPictureInfo extends PictureInfo {
  readonly hasAlpha: boolean;
  /** Whether the file has one channel besides transparency. */
  readonly hasOneChannel: boolean;
}

interface SharpDecoder extends PictureDecoder {
  readonly describe: (bytes: Uint8Array) => Promise<SharpPictureInfo>;
}

const fits = { cover: 'cover', contain: 'contain', stretch: 'fill' } as const;

/**
 * Opens a decoder of pictures in Node, by the package sharp.
 * @throws Error with one sentence if the package or its native part is missing
 */
export async function openSharpDecoder(): Promise<SharpDecoder> {
  const sharp = await loadSharp();
  const open = (bytes: Uint8Array) => sharp(bytes, { limitInputPixels: maxPicturePixels });
  return {
    describe: (bytes) => describe(open, bytes),
    decode: (bytes, form) => checked(bytes, () => pixelsOf(open(bytes), form.channels, form)),
  };
}

async function loadSharp(): Promise<Sharp> {
  try {
    // Not a literal, so that the compiler does not look for a package that may not be installed.
    const name = 'sharp';
    return ((await import(name as string)) as { default: Sharp }).default;
  } catch (error) {
    const got = (error as Error).message.trim().split('\n')[0];
    throw new Error(`expected the package sharp, which decodes pictures, got none that works here: ${got}`);
  }
}

async function checked<Value>(bytes: Uint8Array, use: () => Promise<Value>): Promise<Value> {
  // sharp supports more formats, some of which refer to other files.
  requirePicture(bytes);
  try {
    return await use();
  } catch (error) {
    const isLarge = (error as Error).message.includes('pixel limit');
    const limit = thousands(maxPicturePixels);
    throw new Error(isLarge ? `it has more than ${limit} pixels` : 'it is damaged', { cause: error });
  }
}

type Open = (bytes: Uint8Array) => SharpImage;

async function describe(open: Open, bytes: Uint8Array): Promise<SharpPictureInfo> {
  const { autoOrient, channels, hasAlpha } = await checked(bytes, () => open(bytes).metadata());
  const hasOneChannel = channels - Number(hasAlpha) === 1;
  const pixels = autoOrient.width * autoOrient.height;
  const lacksColor = async () => hasNoColor(await checked(bytes, () => pixelsOf(open(bytes), 3)), 3);
  const isGray = async () => hasOneChannel || (pixels < largePixels ? lacksColor() : oneAtATime(lacksColor));
  return { ...autoOrient, hasAlpha, hasOneChannel, isGray };
}

/** Larger pictures are checked for color one at a time: eight at a time would take gigabytes. */
const largePixels = 2 ** 22;
let lastLarge: Promise<unknown> = Promise.resolve();

function oneAtATime<Value>(work: () => Promise<Value>): Promise<Value> {
  const result = lastLarge.then(work);
  lastLarge = result.catch(() => {});
  return result;
}

async function pixelsOf(image: SharpImage, channels: 1 | 3, form?: PictureForm): Promise<Uint8Array> {
  let result = image.autoOrient().flatten({ background: 'white' });
  if (form) result = result.resize(form.width, form.height, { fit: fits[form.fit], background: 'black' });
  const raw = result.toColourspace(channels === 1 ? 'b-w' : 'srgb').raw({ depth: 'uchar' });
  const { data, info } = await raw.toBuffer({ resolveWithObject: true });
  if (info.channels !== channels) throw new Error(`it has ${info.channels} channels where ${channels} were asked for`);
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
