/** Stochastic gradient descent: `p -= learningRate * g`. */
import { mul, sub } from '@lockstep/tensor';
import * as v from 'valibot';
import type { OptimizerRule } from './rule.ts';
import { learningRate } from './settings.ts';

const schema = v.strictObject({ type: v.literal('sgd'), learningRate });

export const sgd = {
  schema,
  slots: [],
  numbers: (config) => ({ learningRate: config.learningRate }),
  update: (_, { parameters, gradient, numbers }) => ({
    parameters: sub(parameters, mul(numbers.learningRate, gradient)),
    slots: {},
  }),
} as const satisfies OptimizerRule<v.InferOutput<typeof schema>, never, 'learningRate'>;
