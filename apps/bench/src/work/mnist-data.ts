/** The training set of MNIST. */
import { usageFailure } from '@lockstep/command';
import { DataError, type Dataset } from '@lockstep/data';
import { loadMnist } from '@lockstep/data/node';

/** @throws CommandFailure where the files of `directory`, or those that are installed, cannot be read */
export async function loadTrainingSet(directory?: string): Promise<Dataset> {
  try {
    return (await loadMnist(directory)).train;
  } catch (error) {
    if (error instanceof DataError) throw usageFailure(`${directory === undefined ? '' : '--data: '}${error.message}`);
    throw error;
  }
}
