/** Settings that several optimizers share. */
import * as v from 'valibot';
import { finiteNumber } from '../check.ts';
import { scheduleSchema } from '../schedules.ts';

export const learningRate = finiteNumber('expected a number above 0', (value) => value > 0);

export const share = finiteNumber('expected a number from 0 to below 1', (value) => value >= 0 && value < 1);

export const notNegative = finiteNumber('expected a number of at least 0', (value) => value >= 0);

/** What every optimizer has. */
export const commonSettings = {
  learningRate,
  /** How the learning rate changes from step to step; constant where left out. */
  schedule: v.exactOptional(scheduleSchema),
  /** A gradient of a larger norm, over all parameters, is scaled down to this one. */
  clipNorm: v.exactOptional(finiteNumber('expected a number above 0', (value) => value > 0)),
};
