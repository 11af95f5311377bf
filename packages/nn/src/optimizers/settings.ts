/** Settings that several optimizers share, and the formula of weight decay. */
import { apply, constant, type Formula } from '@lockstep/tensor';
import * as v from 'valibot';
import { nonNegative, positive } from '../check.ts';
import { scheduleSchema } from '../schedules.ts';

/** Settings of every optimizer. */
export const commonSettings = {
  learningRate: positive,
  /** How the learning rate changes from step to step; constant by default. */
  schedule: v.exactOptional(scheduleSchema),
  /** Maximum norm of the gradient over all parameters; a larger gradient is scaled down to it. */
  clipNorm: v.exactOptional(positive),
};

/** L2 weight decay, as in `torch.optim.SGD`, `Adam` and `RMSprop`; 0 by default. */
export const weightDecaySetting = v.exactOptional(nonNegative);

/** `gradient + weightDecay * parameters`, the gradient of `loss + weightDecay / 2 * |parameters|^2`. */
export function withWeightDecay(gradient: Formula, parameters: Formula, weightDecay: number): Formula {
  return weightDecay === 0 ? gradient : apply('add', gradient, apply('mul', parameters, constant(weightDecay)));
}
