/** Describes a sample's label and the network's prediction in a few words. */

import type { LabeledSample, SampleTrace } from '@lockstep/lesson';
import { restoreValues } from '@lockstep/nn';
import { outputName } from '../look/format.ts';
import type { Run } from '../watch/run-store.ts';
import { valuesText } from './chosen-sample.ts';

/** Returns the name of a class, or the values in their unit. */
export function targetText(run: Run | undefined, target: LabeledSample['target']): string {
  if (typeof target === 'number') return outputName(run, target);
  return valuesText(restoreValues(target, run?.standardization));
}

export function answerText(run: Run | undefined, { probabilities, layers }: SampleTrace): string {
  if (probabilities) return outputName(run, probabilities.indexOf(Math.max(...probabilities)));
  return valuesText(restoreValues(layers.at(-1)!.values, run?.standardization));
}
