/**
 * The data of a comparison's runs: the training samples they need, and a small test set, which no figure depends on.
 */
import { type Dataset, sampleSize } from '@lockstep/data';
import { writeMnistFiles } from '../workloads/mnist-files.ts';
import type { Training } from './grid.ts';

/** Evaluating the whole MNIST test set takes half a second per run of the larger models. */
export const evaluatedImages = 1_000;

/**
 * Half of MNIST: workers hold the samples after one epoch, as peers do from the start, and no figure covers the time
 * before.
 */
export const trainedImages = 30_000;

/** The first samples of a training set, enough for each batch of the grid. */
export function runDataOf(train: Dataset, grid: readonly Pick<Training, 'batch'>[]): Dataset {
  const count = Math.min(train.count, Math.max(trainedImages, ...grid.map(({ batch }) => batch)));
  const samples = train.samples.subarray(0, count * sampleSize(train));
  const { targets } = train;
  if (targets.type !== 'classes') throw new Error('a comparison: expected samples with classes, got values');
  return { ...train, count, samples, targets: { ...targets, labels: targets.labels.subarray(0, count) } };
}

/** Writes the samples into `folder`, for the option `--data` of a run. */
export async function writeRunData(train: Dataset, folder: string): Promise<void> {
  const testCount = Math.min(evaluatedImages, train.count);
  await writeMnistFiles(train, { trainCount: train.count, testCount }, folder);
}
