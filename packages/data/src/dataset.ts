/** Labeled images in memory. */
import { DataError } from './data-error.ts';
import type { parseImages, parseLabels } from './idx.ts';

export interface Dataset {
  /** `[count, rows, columns]`, 0 to 255. */
  readonly images: Uint8Array;
  /** `[count]`, 0 to `classes - 1`. */
  readonly labels: Uint8Array;
  readonly count: number;
  readonly rows: number;
  readonly columns: number;
  readonly classes: number;
}

/** Joins images with their labels. Throws DataError when the counts differ or a label is not below `classes`. */
export function joinDataset(
  images: ReturnType<typeof parseImages>,
  labels: ReturnType<typeof parseLabels>,
  classes = 10,
): Dataset {
  if (labels.count !== images.count) {
    throw new DataError(
      `${labels.name}: expected ${images.count} labels, one for each image of ${images.name}, got ${labels.count}`,
    );
  }
  const sample = labels.labels.findIndex((label) => label >= classes);
  if (sample >= 0) {
    throw new DataError(
      `${labels.name}: expected labels from 0 to ${classes - 1}, got ${labels.labels[sample]} at sample ${sample}`,
    );
  }
  const { count, rows, columns, pixels } = images;
  return { images: pixels, labels: labels.labels, count, rows, columns, classes };
}
