/** What the runs of a comparison read: as much of the training set as they need, and little to test with, since no figure is of that. */
import { type Dataset, sampleSize } from '@lockstep/data';
import { writeMnistFiles } from '../workloads/mnist-files.ts';
import type { Training } from './grid.ts';

/** An evaluation of all of MNIST's takes half a second in each run of the larger models. */
export const evaluatedImages = 1_000;

/**
 * Half of MNIST: workers have the samples after one epoch, as peers have theirs from the start, and what comes before is
 * time that no figure is of.
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

/** Writes them into `folder`, which is then what a run takes as its `--data`. */
export async function writeRunData(train: Dataset, folder: string): Promise<void> {
  const testCount = Math.min(evaluatedImages, train.count);
  await writeMnistFiles(train, { trainCount: train.count, testCount }, folder);
}
