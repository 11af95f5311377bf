/** The training set of MNIST, and work made of its first images. */
import { usageFailure } from '@lockstep/command';
import { DataError, type Dataset } from '@lockstep/data';
import { loadMnist } from '@lockstep/data/node';
import { initialize, resolveModel } from '@lockstep/nn';
import { cutBatches, type MnistStep } from './mnist-step.ts';
import type { Net } from './net.ts';

/** @throws CommandFailure if the files of `directory`, or the installed ones, cannot be read */
export async function loadTrainingSet(directory?: string): Promise<Dataset> {
  try {
    return (await loadMnist(directory)).train;
  } catch (error) {
    if (error instanceof DataError) throw usageFailure(`${directory === undefined ? '' : '--data: '}${error.message}`);
    throw error;
  }
}

/** Training of the built-in model of this name on the first `batchSize * batchCount` images. */
export async function mnistWork(net: Net, batchSize: number, batchCount: number): Promise<MnistStep> {
  const batches = cutBatches(await loadTrainingSet(), batchSize, batchCount);
  return { net, batchSize, learningRate: 0.1, batches, initial: initialize(resolveModel(net.name), 1) };
}
