/** Labeled images in memory. */
import { DataError } from './data-error.ts';
import type { IdxImages, IdxLabels } from './idx.ts';

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
export function joinDataset(images: IdxImages, labels: IdxLabels, classes = 10): Dataset {
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
  return {
    images: images.pixels,
    labels: labels.labels,
    count: images.count,
    rows: images.rows,
    columns: images.columns,
    classes,
  };
}
