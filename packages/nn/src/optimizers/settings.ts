/** Settings that several optimizers share, with the formula of weight decay. */
import { apply, constant, type Formula } from '@lockstep/tensor';
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

/** L2 weight decay, as `torch.optim.SGD`, `Adam` and `RMSprop` have it; 0 where left out. */
export const weightDecaySetting = v.exactOptional(nonNegative);

/** `gradient + weightDecay * parameters`: the gradient of the loss plus `weightDecay / 2 * |parameters|^2`. */
export function withWeightDecay(gradient: Formula, parameters: Formula, weightDecay: number): Formula {
  return weightDecay === 0 ? gradient : apply('add', gradient, apply('mul', parameters, constant(weightDecay)));
}
