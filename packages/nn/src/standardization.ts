/** How values of a table were standardized for training, and back. */

import type { Standardization } from '@lockstep/data';
import { checkArguments } from '@lockstep/data';
import * as v from 'valibot';
import { finiteNumber, kinds, positive } from './check.ts';

export const finite = finiteNumber('expected a finite number', () => true);

export const standardizationSchema: v.GenericSchema<unknown, Standardization> = v.strictObject({
  mean: finite,
  deviation: positive,
});

/** Returns `value * deviation + mean`, in float32. */
export function restoreValues(values: Float32Array, standardization: Standardization | undefined): Float32Array {
  checkArguments('restoreValues', [kinds.numbers, values]);
  if (!standardization) return values;
  const { mean, deviation } = standardization;
  return values.map((value) => value * deviation + mean);
}

/** Returns `(value - mean) / deviation`, in float32. */
export function standardizeValues(values: Float32Array, standardization: Standardization | undefined): Float32Array {
  checkArguments('standardizeValues', [kinds.numbers, values]);
  if (!standardization) return values;
  const { mean, deviation } = standardization;
  return values.map((value) => (value - mean) / deviation);
}

/** Returns the root of a mean squared error, in the unit of the original values. */
export function rootMeanSquaredError(loss: number, standardization: Standardization | undefined): number {
  return Math.sqrt(loss) * (standardization?.deviation ?? 1);
}
