/** The data that the command line names. */
import { basename, resolve } from 'node:path';
import { usageFailure } from '@lockstep/command';
import { DataError, movableSamples } from '@lockstep/data';
import { openDataset } from '@lockstep/data/node';
import type { OpenedDataset } from '@lockstep/data/readers';
import type { TrainingData } from '@lockstep/train';
import { type RunValues, uploadedData } from '@lockstep/train/command-line';

/** The data, and a function that splits them by another seed. */
type OpenedData = OpenedDataset & Pick<TrainingData, 'name' | 'splitBy'>;

/**
 * Opens the named data; returns undefined if none are named.
 * @throws CommandFailure with exit code 2 if the data cannot be used
 */
export async function openData(options: RunValues): Promise<OpenedData | undefined> {
  const { data, seed, label, ignore, task, size, gray, fit } = options;
  if (data === undefined || data === uploadedData) return undefined;
  // The reader replaces undefined options by its defaults.
  const readerOptions = { label, ignore, task, size, gray: gray || undefined, fit };
  try {
    const name = basename(resolve(data));
    const splitBy = async (seed: number) => ({ ...(await openDataset(data, { ...readerOptions, seed })), name });
    const opened = await splitBy(seed);
    // Movable, because only the run uses the samples.
    return { ...opened, train: movableSamples(opened.train), splitBy };
  } catch (error) {
    if (error instanceof DataError) throw usageFailure(`--data: ${error.message}`);
    throw error;
  }
}
