/** Reads the weights that a run begins with from the file of `--init`. */
import { errorMessage, readOptionBytes, usageFailure } from '@lockstep/command';
import type { Model } from '@lockstep/nn';
import { maxModelFileBytes, readStoredModel, type StoredModel } from '@lockstep/train';

type InitialWeights = Pick<StoredModel, 'weights' | 'weightsSha256'>;

/** @throws CommandFailure with exit code 2 where the file has none, or those of another model */
export function readInitialWeights(file: string, model: Model): InitialWeights {
  const bytes = readOptionBytes('init', file, maxModelFileBytes);
  try {
    const { weights, weightsSha256 } = readStoredModel(bytes, model);
    const wrong = weights.find((weight) => !Number.isFinite(weight));
    if (wrong === undefined) return { weights, weightsSha256 };
    throw new Error(`expected finite weights to go on from, got ${wrong} among them`);
  } catch (error) {
    throw usageFailure(`--init ${file}: ${errorMessage(error)}`);
  }
}
