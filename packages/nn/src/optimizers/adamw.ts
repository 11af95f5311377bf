/**
 * Adam with decoupled weight decay: `p *= 1 - learningRate * weightDecay` before the step; `torch.optim.AdamW`'s defaults.
 * Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019.
 */
import { apply } from '@lockstep/tensor';
import * as v from 'valibot';
import { type MomentsNumber, type MomentsSlot, moments, momentsSettings, momentsStep } from './moments.ts';
import type { OptimizerRule } from './rule.ts';
import { notNegative } from './settings.ts';

const schema = v.strictObject({
  type: v.literal('adamw'),
  ...momentsSettings,
  weightDecay: v.optional(notNegative, 0.01),
});

export const adamw = {
  schema,
  slots: moments.slots,
  numbers: (config, moment) => ({
    ...moments.numbers(config, moment),
    kept: 1 - moment.learningRate * config.weightDecay,
  }),
  update(config, values) {
    const { parameters, gradient, numbers } = values;
    return momentsStep(config, values, gradient, apply('mul', parameters, numbers.kept));
  },
} satisfies OptimizerRule<v.InferOutput<typeof schema>, MomentsSlot, MomentsNumber | 'kept'>;
