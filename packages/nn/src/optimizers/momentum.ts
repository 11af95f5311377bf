/**
 * Gradient descent with momentum: `buffer = momentum * buffer + g; p -= learningRate * buffer`.
 * As `torch.optim.SGD` has it; a buffer of zeros makes the first one equal to g.
 */
import { add, mul, sub } from '@lockstep/tensor';
import * as v from 'valibot';
import { finiteNumber } from '../check.ts';
import type { OptimizerRule } from './rule.ts';
import { learningRate } from './settings.ts';

const schema = v.strictObject({
  type: v.literal('momentum'),
  learningRate,
  momentum: v.optional(
    finiteNumber('expected a number from 0 to below 1', (value) => value >= 0 && value < 1),
    0.9,
  ),
});

export const momentum = {
  schema,
  slots: ['buffer'],
  numbers: (config) => ({ learningRate: config.learningRate }),
  update(config, { parameters, gradient, slots, numbers }) {
    const buffer = add(mul(slots.buffer, config.momentum), gradient);
    return { parameters: sub(parameters, mul(numbers.learningRate, buffer)), slots: { buffer } };
  },
} as const satisfies OptimizerRule<v.InferOutput<typeof schema>, 'buffer', 'learningRate'>;
