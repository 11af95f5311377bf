/** The data that the command line names. */
import { basename, resolve } from 'node:path';
import { readerOptionsOf, usageFailure } from '@lockstep/command';
import { DataError, movableSamples } from '@lockstep/data';
import { openDataset } from '@lockstep/data/node';
import type { OpenedDataset } from '@lockstep/data/readers';
import type { TrainingData } from '@lockstep/train';
import { uploadedData } from '@lockstep/train/command-line';
import type { CoordinatorOptions } from './options.ts';

/** The data, and how they are when another seed splits them. */
type OpenedData = OpenedDataset & Pick<TrainingData, 'name' | 'splitBy'>;

/** undefined where none is named. @throws CommandFailure with exit code 2 where it cannot be used */
export async function openData(options: CoordinatorOptions): Promise<OpenedData | undefined> {
  const { data, seed } = options;
  const readerOptions = readerOptionsOf(options);
  if (data === undefined) {
    const [name] = Object.entries(readerOptions).find(([, value]) => value !== undefined) ?? [];
    if (name === undefined) return undefined;
    throw usageFailure(`--${name}: expected with --data PATH, the data that are to be read so`);
  }
  if (data === uploadedData) {
    const [name] = Object.entries(readerOptions).find(([, value]) => value !== undefined) ?? [];
    if (name === undefined) return undefined;
    throw usageFailure(`--${name}: expected without --data ${uploadedData}, whose page asks for it`);
  }
  try {
    const name = basename(resolve(data));
    const splitBy = async (seed: number) => ({ ...(await openDataset(data, { ...readerOptions, seed })), name });
    const opened = await splitBy(seed);
    // Nothing but the run uses them.
    return { ...opened, train: movableSamples(opened.train), splitBy };
  } catch (error) {
    if (error instanceof DataError) throw usageFailure(`--data: ${error.message}`);
    throw error;
  }
}
