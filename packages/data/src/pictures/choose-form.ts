/** Chooses one size and number of channels for all pictures of a data set. */
import type { PictureDecoder, PictureFit, PictureSize } from './decoder.ts';
import { forEachBounded } from './for-each-bounded.ts';
import type { LabeledPicture } from './tree.ts';

/** Form and classes of the pictures. */
export interface PictureOptions {
  /** Default: the size of more than half of the pictures, or 32 x 32 if there is none. */
  readonly size?: PictureSize | undefined;
  /** Default: whether no picture has colors. */
  readonly gray?: boolean | undefined;
  /** Default `cover`. */
  readonly fit?: PictureFit | undefined;
  /** Classes of an already trained model, in its order; default the names of the folders, sorted. */
  readonly classes?: readonly string[] | undefined;
}

const fallbackSize = { width: 32, height: 32 };
/** Number of pictures that are read and decoded at a time. */
export const pictureLanes = 8;

/** Reads a picture for `use`; errors name the picture. */
export type Read = <Value>(picture: LabeledPicture, use: (bytes: Uint8Array) => Promise<Value>) => Promise<Value>;

/** Sums over the pictures of a data set, taken from their headers. */
export interface Totals {
  /** Number of pictures of each size, keyed by width and height. */
  readonly sizes: ReadonlyMap<string, number>;
  readonly pixels: number;
  readonly fileBytes: number;
}

export async function totalsOf(
  pictures: readonly LabeledPicture[],
  decoder: PictureDecoder,
  read: Read,
): Promise<Totals> {
  const sizes = new Map<string, number>();
  let [pixels, fileBytes] = [0, 0];
  await forEachBounded(pictures, pictureLanes, (picture) =>
    read(picture, async (bytes) => {
      const size = await decoder.describe(bytes);
      sizes.set(keyOf(size), (sizes.get(keyOf(size)) ?? 0) + 1);
      pixels += size.width * size.height;
      fileBytes += bytes.length;
    }),
  );
  return { sizes, pixels, fileBytes };
}

/** Returns the size of more than half of the pictures, or the fallback if there is none. */
export function usualSize({ sizes }: Totals, total: number): PictureSize {
  const [most] = [...sizes].sort(([, a], [, b]) => b - a);
  if (most === undefined || 2 * most[1] <= total) return fallbackSize;
  const [width, height] = most[0].split(' ').map(Number);
  return { width: width!, height: height! };
}

/** Whether all pictures already have this size. */
export function areAllOf(size: PictureSize, { sizes }: Totals, total: number): boolean {
  return sizes.get(keyOf(size)) === total;
}

function keyOf({ width, height }: PictureSize): string {
  return `${width} ${height}`;
}

/** Whether no picture has colors. Stops decoding at the first picture that has some. */
export async function areGray(
  pictures: readonly LabeledPicture[],
  decoder: PictureDecoder,
  read: Read,
): Promise<boolean> {
  let isGray = true;
  await forEachBounded(pictures, pictureLanes, async (picture) => {
    if (!isGray) return;
    const hasNoColor = await read(picture, async (bytes) => (await decoder.describe(bytes)).isGray());
    if (!hasNoColor) isGray = false;
  });
  return isGray;
}
