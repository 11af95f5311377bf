/** Joins the images and labels of IDX files. */
import { DataError } from './data-error.ts';
import type { Dataset } from './dataset.ts';
import type { parseImages, parseLabels } from './idx.ts';

/**
 * Joins images and their labels into a data set of `classes` classes, named by their numbers.
 * @throws DataError if the counts differ, or a label is not below `classes`
 */
export function joinDataset(
  images: ReturnType<typeof parseImages>,
  labels: ReturnType<typeof parseLabels>,
  classes: number,
): Dataset {
  if (labels.count !== images.count) {
    throw new DataError(
      `${labels.name}: expected ${images.count} labels, one for each image of ${images.name}, got ${labels.count}`,
    );
  }
  const sample = labels.labels.findIndex((label) => label >= classes);
  if (sample >= 0) {
    throw new DataError(
      `${labels.name}: expected labels from 0 to ${classes - 1}, as those to train with, got ${labels.labels[sample]} at sample ${sample}`,
    );
  }
  const names = Array.from({ length: classes }, (_, index) => `${index}`);
  return {
    samples: images.pixels,
    sampleShape: [images.rows, images.columns, images.channels],
    count: images.count,
    targets: { type: 'classes', labels: Uint16Array.from(labels.labels), names },
  };
}
