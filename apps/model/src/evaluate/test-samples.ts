/** The samples to evaluate a model on, read in the same way as its training samples. */
import { usageFailure } from '@lockstep/command';
import { concatDatasets, DataError, type Dataset } from '@lockstep/data';
import { loadMnist, type OpenOptions, openDataset } from '@lockstep/data/node';
import type { LoadedModel } from '@lockstep/train';

interface Named {
  readonly data: string | undefined;
  readonly label: string | undefined;
  /** Whether training samples count as well. */
  readonly all: boolean;
}

/**
 * If the data are split by a seed, returns the test part of the model's own training, by its seed; with `all`, every
 * sample.
 * @throws CommandFailure with exit code 2
 */
export async function testSamples({ data, label, all }: Named, model: LoadedModel): Promise<Dataset> {
  try {
    const split = all ? { testFraction: 1 } : { seed: model.seed };
    const opened = data === undefined ? loadMnist() : openDataset(data, { ...asInTraining(model, label), ...split });
    const { train, test } = await opened;
    return all && train.count > 0 ? concatDatasets(train, test) : test;
  } catch (error) {
    if (error instanceof DataError) throw usageFailure(`${data === undefined ? '' : '--data: '}${error.message}`);
    throw error;
  }
}

function asInTraining(
  { reading, sampleShape, scaling, classes, values, standardization }: LoadedModel,
  label?: string,
): OpenOptions {
  if (reading?.type === 'pictures') {
    const [height, width, channels] = sampleShape;
    return { size: { width: width!, height: height! }, gray: channels === 1, fit: reading.fit, classes, label };
  }
  const like = {
    columns: reading?.columns,
    bytes: scaling.type === 'byte',
    classes: classes.length > 0 ? classes : undefined,
    standardization,
  };
  const known = reading && values.length === 1 ? values[0] : undefined;
  return { like, label: label ?? known };
}
