/** Reads the weights that a run begins with from a model file. */

import type { Model } from '@lockstep/nn';
import { configurationError, named } from '@lockstep/worker';
import { errorMessage } from '../error-message.ts';
import { readStoredModel, type StoredModel } from './stored-model.ts';

type InitialWeights = Pick<StoredModel, 'weights' | 'weightsSha256'>;

/** @throws ConfigurationError where the file has none, or those of another model */
export function readInitialWeights(bytes: Uint8Array, model: Model): InitialWeights {
  try {
    const { weights, weightsSha256 } = readStoredModel(bytes, model);
    const wrong = weights.find((weight) => !Number.isFinite(weight));
    if (wrong === undefined) return { weights, weightsSha256 };
    throw new Error(`expected finite weights to go on from, got ${wrong} among them`);
  } catch (error) {
    throw configurationError`${named('initialWeights')}: ${errorMessage(error)}`;
  }
}
