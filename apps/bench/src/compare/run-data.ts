/** What the runs of a comparison read: the training set as it is, and little to test with, since no figure is of that. */
import type { Dataset } from '@lockstep/data';
import { writeMnistFiles } from '../workloads/mnist-files.ts';

/** An evaluation of all of MNIST's takes half a second in each run of the larger models. */
export const evaluatedImages = 1_000;

/** Writes them into `folder`, which is then what a run takes as its `--data`. */
export async function writeRunData(train: Dataset, folder: string): Promise<void> {
  const testCount = Math.min(evaluatedImages, train.count);
  await writeMnistFiles(train, { trainCount: train.count, testCount }, folder);
}
