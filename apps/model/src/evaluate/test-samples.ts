/** The samples that a model is measured on, read as those that it learned from. */
import { usageFailure } from '@lockstep/command';
import { DataError, type Dataset } from '@lockstep/data';
import { loadMnist, type OpenOptions, openDataset } from '@lockstep/data/node';
import type { LoadedModel } from '@lockstep/train';

interface Named {
  readonly data: string | undefined;
  readonly label: string | undefined;
}

/**
 * Of data that are split by a seed the part that the training of the model, with its own seed, left to test with.
 * @throws CommandFailure with exit code 2
 */
export async function testSamples({ data, label }: Named, model: LoadedModel): Promise<Dataset> {
  if (data === undefined && label !== undefined) {
    throw usageFailure('--label: expected with --data PATH, the data that have this column');
  }
  try {
    if (data === undefined) return (await loadMnist()).test;
    return (await openDataset(data, asInTraining(model, label))).test;
  } catch (error) {
    if (error instanceof DataError) throw usageFailure(`${data === undefined ? '' : '--data: '}${error.message}`);
    throw error;
  }
}

function asInTraining(
  { reading, sampleShape, classes, values, standardization, seed }: LoadedModel,
  label?: string,
): OpenOptions {
  if (reading?.type === 'pictures') {
    const [height, width, channels] = sampleShape;
    return { size: { width: width!, height: height! }, gray: channels === 1, fit: reading.fit, seed, label };
  }
  const like = { columns: reading?.columns, classes: classes.length > 0 ? classes : undefined, standardization };
  const known = reading && values.length === 1 ? values[0] : undefined;
  return { like, seed, label: label ?? known };
}
