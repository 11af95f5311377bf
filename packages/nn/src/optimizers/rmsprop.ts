/**
 * RMSprop, with the defaults and the order of operations of `torch.optim.RMSprop`, uncentered.
 * Tieleman and Hinton, "Lecture 6.5: Divide the gradient by a running average of its recent magnitude", 2012:
 *
 *     g += weightDecay * p
 *     v = alpha v + (1 - alpha) g^2
 *     buffer = momentum * buffer + g / (sqrt(v) + epsilon)      (without momentum there is no buffer)
 *     p -= learningRate * buffer
 */
import { apply, constant } from '@lockstep/tensor';
import * as v from 'valibot';
import { fractionBelowOne, nonNegative } from '../check.ts';
import type { OptimizerRule } from './rule.ts';
import { commonSettings, weightDecaySetting, withWeightDecay } from './settings.ts';

const schema = v.strictObject({
  type: v.literal('rmsprop'),
  ...commonSettings,
  alpha: v.optional(fractionBelowOne, 0.99),
  epsilon: v.optional(nonNegative, 1e-8),
  /** 0 by default. */
  momentum: v.exactOptional(fractionBelowOne),
  weightDecay: weightDecaySetting,
});

export const rmsprop = {
  schema,
  defaultLearningRate: 0.002,
  slots: ({ momentum = 0 }) => (momentum > 0 ? (['squareAverage', 'buffer'] as const) : (['squareAverage'] as const)),
  scalars: (_, { learningRate }) => ({ learningRate }),
  update({ alpha, epsilon, momentum = 0, weightDecay = 0 }, { parameters, slots, scalars, ...values }) {
    const gradient = withWeightDecay(values.gradient, parameters, weightDecay);
    const square = apply('mul', apply('mul', gradient, constant(1 - alpha)), gradient);
    const squareAverage = apply('add', apply('mul', slots.squareAverage, constant(alpha)), square);
    const scaled = apply('div', gradient, apply('add', apply('sqrt', slots.squareAverage), constant(epsilon)));
    if (momentum === 0) {
      return { squareAverage, parameters: apply('sub', parameters, apply('mul', scalars.learningRate, scaled)) };
    }
    return {
      squareAverage,
      buffer: apply('add', apply('mul', slots.buffer, constant(momentum)), scaled),
      parameters: apply('sub', parameters, apply('mul', scalars.learningRate, slots.buffer)),
    };
  },
} satisfies OptimizerRule<v.InferOutput<typeof schema>, 'squareAverage' | 'buffer', 'learningRate'>;
