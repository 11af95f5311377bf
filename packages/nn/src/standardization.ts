/** Values to learn that were standardized, and the way back to the unit of those that were given. */
import * as v from 'valibot';
import { finiteNumber, positive } from './check.ts';

export const standardizationSchema = v.strictObject({
  mean: finiteNumber('expected a finite number', () => true),
  deviation: positive,
});

/**
 * A value is `(given - mean) / deviation`, as `@lockstep/data` has it.
 * Undefined where values are as they were given.
 */
export type Standardization = v.InferOutput<typeof standardizationSchema>;

/** float32: `value * deviation + mean`. */
export function restoreValues(values: Float32Array, standardization: Standardization | undefined): Float32Array {
  if (!standardization) return values;
  const { mean, deviation } = standardization;
  return values.map((value) => value * deviation + mean);
}

/** float32: `(value - mean) / deviation`. */
export function standardizeValues(values: Float32Array, standardization: Standardization | undefined): Float32Array {
  if (!standardization) return values;
  const { mean, deviation } = standardization;
  return values.map((value) => (value - mean) / deviation);
}

/** The root of a mean squared error, in the unit of the values that were given. */
export function rootMeanSquaredError(loss: number, standardization: Standardization | undefined): number {
  return Math.sqrt(loss) * (standardization?.deviation ?? 1);
}
