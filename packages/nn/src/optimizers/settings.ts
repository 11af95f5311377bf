/** Settings that several optimizers share. */
import * as v from 'valibot';
import { nonNegative, positive } from '../check.ts';
import { scheduleSchema } from '../schedules.ts';

/** What every optimizer has. */
export const commonSettings = {
  learningRate: positive,
  /** How the learning rate changes from step to step; constant where left out. */
  schedule: v.exactOptional(scheduleSchema),
  /** A gradient of a larger norm, over all parameters, is scaled down to this one. */
  clipNorm: v.exactOptional(positive),
};

/** How strongly weights are drawn to 0; 0 where left out. */
export const weightDecaySetting = v.exactOptional(nonNegative);
