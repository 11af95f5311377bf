/**
 * Decodes pictures in a page or its worker, with createImageBitmap and an OffscreenCanvas.
 * Unscaled pixels equal those of `sharp-decoder.ts` if the format is lossless. A browser scales, and converts colors to
 * gray, in its own way.
 */

import { argumentKinds, checkArguments } from '../data-error.ts';
import type { SplitOptions } from '../order.ts';
import type { OpenedDataset, PictureFit } from '../readers/table-dataset.ts';
import {
  hasNoColor,
  type PictureDecoder,
  type PictureForm,
  type PictureOptions,
  type PictureSize,
  readPictures,
  requirePicture,
} from './read-pictures.ts';

interface Bitmap extends PictureSize {
  close(): void;
}

interface Canvas2d {
  fillStyle: string;
  imageSmoothingQuality: string;
  fillRect(x: number, y: number, width: number, height: number): void;
  drawImage(bitmap: Bitmap, x: number, y: number, width: number, height: number): void;
  getImageData(x: number, y: number, width: number, height: number): { readonly data: Uint8ClampedArray };
}

/** The part of the DOM that is used here: Node's types lack it. */
interface Page {
  createImageBitmap(blob: Blob): Promise<Bitmap>;
  OffscreenCanvas: new (
    width: number,
    height: number,
  ) => { getContext(type: '2d', options: { willReadFrequently: boolean }): Canvas2d };
}

/** Luma weights of ITU-R BT.709. */
const grayWeights = [0.2126, 0.7152, 0.0722] as const;
const bytesPerPixel = 4;

interface PageDecoder extends PictureDecoder {
  /** Returns the pixels of a bitmap, such as a frame of a video, as `decode` does; closes the bitmap. */
  readonly pixelsOf: (bitmap: Bitmap, form: PictureForm) => Uint8Array;
}

/** Opens a decoder that uses the browser. @throws Error with one sentence outside of a page */
export function openPageDecoder(): PageDecoder {
  const page = globalThis as unknown as Partial<Page>;
  if (!page.createImageBitmap || !page.OffscreenCanvas) {
    throw new Error('expected createImageBitmap and OffscreenCanvas, as pages have them, got none');
  }
  const open = async (bytes: Uint8Array): Promise<Bitmap> => {
    requirePicture(bytes);
    return page.createImageBitmap!(new Blob([new Uint8Array(bytes)])).catch(() => {
      throw new Error('it is damaged');
    });
  };
  const pixelsOf = (bitmap: Bitmap, form: PictureForm) => valuesOf(draw(page as Page, bitmap, form), form.channels);
  return {
    describe: async (bytes) => {
      const bitmap = await open(bytes);
      const { width, height } = bitmap;
      bitmap.close();
      const isGray = async () => {
        const form = { width, height, channels: 3, fit: 'stretch' } as const;
        return hasNoColor(draw(page as Page, await open(bytes), form), bytesPerPixel);
      };
      return { width, height, isGray };
    },
    decode: async (bytes, form) => pixelsOf(await open(bytes), form),
    pixelsOf,
  };
}

/**
 * Reads pictures in a page, such as files of an `<input>` or frames of a webcam.
 * @param classes pictures by the name of their class
 * @throws DataError with one sentence that names the class and the picture, by its number from 1
 */
export function datasetFromPictures(
  classes: Readonly<Record<string, Iterable<Blob>>>,
  options: PictureOptions & SplitOptions = {},
): Promise<OpenedDataset> {
  checkArguments('datasetFromPictures', [argumentKinds.options, classes], [argumentKinds.options, options]);
  const files = Object.entries(classes).flatMap(([name, blobs]) =>
    Array.from(blobs, (blob, index) => ({
      // A slash would begin another folder. Leading zeros keep the order of the pictures.
      path: `${name.replaceAll('/', '∕')}/${`${index + 1}`.padStart(6, '0')}.png`,
      read: async () => new Uint8Array(await blob.arrayBuffer()),
    })),
  );
  return readPictures(files, 'datasetFromPictures', openPageDecoder(), options);
}

/** Returns RGBA pixels. */
function draw({ OffscreenCanvas }: Page, bitmap: Bitmap, { width, height, fit }: PictureForm): Uint8ClampedArray {
  const canvas = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  const size = drawnSize(bitmap, { width, height }, fit);
  const [left, top] = [(width - size.width) / 2, (height - size.height) / 2];
  canvas.imageSmoothingQuality = 'high';
  canvas.fillStyle = 'black';
  canvas.fillRect(0, 0, width, height);
  canvas.fillStyle = 'white';
  canvas.fillRect(left, top, size.width, size.height);
  canvas.drawImage(bitmap, left, top, size.width, size.height);
  bitmap.close();
  return canvas.getImageData(0, 0, width, height).data;
}

function drawnSize(from: PictureSize, to: PictureSize, fit: PictureFit): PictureSize {
  if (fit === 'stretch') return to;
  const scales = [to.width / from.width, to.height / from.height];
  const scale = fit === 'cover' ? Math.max(...scales) : Math.min(...scales);
  return { width: from.width * scale, height: from.height * scale };
}

function valuesOf(rgba: Uint8ClampedArray, channels: 1 | 3): Uint8Array {
  const count = rgba.length / bytesPerPixel;
  const values = new Uint8Array(count * channels);
  for (let pixel = 0; pixel < count; pixel += 1) {
    const at = pixel * bytesPerPixel;
    if (channels === 3) values.set(rgba.subarray(at, at + 3), pixel * 3);
    else
      values[pixel] = Math.round(grayWeights.reduce((sum, weight, channel) => sum + weight * rgba[at + channel]!, 0));
  }
  return values;
}
