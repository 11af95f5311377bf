/** The size and the channels that all pictures of a data set get. */

import type { PictureDecoder, PictureFit, PictureForm, PictureSize } from './decoder.ts';
import { forEachBounded } from './for-each-bounded.ts';
import type { LabeledPicture } from './tree.ts';

/** The form that all pictures get. */
export interface PictureOptions {
  /** Default: the size of most pictures; 32 x 32 where no size is that of most. */
  readonly size?: PictureSize | undefined;
  /** Default: whether no picture has colors. */
  readonly gray?: boolean | undefined;
  /** Default `cover`. */
  readonly fit?: PictureFit | undefined;
  /** Of a model that is trained already, in their order; default the names of the folders, sorted. */
  readonly classes?: readonly string[] | undefined;
}

export interface ChosenForm extends PictureForm {
  /** Whether all pictures have this size already; undefined where that was not looked at. */
  readonly isOriginalSize: boolean | undefined;
}

const fallbackSize = { width: 32, height: 32 };
/** Pictures that are read and decoded at a time. */
export const pictureLanes = 8;

/** Reads every picture where the options leave a choice. @param read names the picture in its errors */
export async function chooseForm(
  pictures: readonly LabeledPicture[],
  decoder: PictureDecoder,
  { size, gray, fit = 'cover' }: PictureOptions,
  read: <Value>(picture: LabeledPicture, use: (bytes: Uint8Array) => Promise<Value>) => Promise<Value>,
): Promise<ChosenForm> {
  const counts = new Map<string, number>();
  let isGray = gray;
  if (size === undefined || gray === undefined) {
    await forEachBounded(pictures, pictureLanes, (picture) =>
      read(picture, async (bytes) => {
        const { width, height, isGray: hasNoColor } = await decoder.describe(bytes);
        counts.set(`${width} ${height}`, (counts.get(`${width} ${height}`) ?? 0) + 1);
        // One picture with colors settles it; the others need not be decoded.
        if (gray === undefined && isGray !== false && !(await hasNoColor())) isGray = false;
      }),
    );
  }
  const chosen = size ?? usualSize(counts, pictures.length);
  const isOriginalSize =
    counts.size === 0 ? undefined : counts.get(`${chosen.width} ${chosen.height}`) === pictures.length;
  return { ...chosen, channels: (isGray ?? true) ? 1 : 3, fit, isOriginalSize };
}

function usualSize(counts: ReadonlyMap<string, number>, total: number): PictureSize {
  const [most] = [...counts].sort(([, a], [, b]) => b - a);
  if (most === undefined || 2 * most[1] <= total) return fallbackSize;
  const [width, height] = most[0].split(' ').map(Number);
  return { width: width!, height: height! };
}
