/**
 * Adam with decoupled weight decay, with the defaults of `torch.optim.AdamW`.
 * It computes `p *= 1 - learningRate * weightDecay` before the step of Adam.
 * Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019.
 */
import { apply } from '@lockstep/tensor';
import * as v from 'valibot';
import { nonNegative } from '../check.ts';
import { type AdamScalar, type AdamSlot, adamRule, adamSettings, adamUpdate } from './adam.ts';
import type { OptimizerRule } from './rule.ts';

const schema = v.strictObject({
  type: v.literal('adamw'),
  ...adamSettings,
  weightDecay: v.optional(nonNegative, 0.01),
});

export const adamw = {
  schema,
  defaultLearningRate: 0.002,
  slots: adamRule.slots,
  scalars: (config, context) => ({
    ...adamRule.scalars(config, context),
    shrinkage: 1 - context.learningRate * config.weightDecay,
  }),
  update: (config, values) =>
    adamUpdate(config, { ...values, parameters: apply('mul', values.parameters, values.scalars.shrinkage) }),
} satisfies OptimizerRule<v.InferOutput<typeof schema>, AdamSlot, AdamScalar | 'shrinkage'>;
