/**
 * Stochastic gradient descent, with the settings of `torch.optim.SGD`: weight decay, momentum, dampening, Nesterov.
 *
 *     g += weightDecay * p
 *     buffer = momentum * buffer + (1 - dampening) * g      (the first buffer is g itself)
 *     p -= learningRate * (nesterov ? g + momentum * buffer : buffer)
 */
import { apply, constant, type Formula } from '@lockstep/tensor';
import * as v from 'valibot';
import { fractionBelowOne } from '../check.ts';
import type { OptimizerRule } from './rule.ts';
import { commonSettings, weightDecaySetting, withWeightDecay } from './settings.ts';

export interface SgdConfig {
  readonly momentum?: number;
  readonly dampening?: number;
  readonly nesterov?: boolean;
  readonly weightDecay?: number;
}

export type SgdScalar = 'learningRate' | 'freshFraction';

/** All settings except the momentum, whose default depends on the name of the optimizer. */
export const sgdSettings = {
  ...commonSettings,
  dampening: v.exactOptional(fractionBelowOne),
  nesterov: v.exactOptional(v.boolean('expected true or false')),
  weightDecay: weightDecaySetting,
};

/** Same check as in PyTorch: "Nesterov momentum requires a momentum and zero dampening". */
export function nesterovCheck<Config extends SgdConfig>() {
  return v.check<Config, string>(
    ({ momentum = 0, dampening = 0, nesterov = false }) => !nesterov || (momentum > 0 && dampening === 0),
    'expected nesterov only with a momentum above 0 and without dampening',
  );
}

export const sgdRule = {
  slots: ({ momentum = 0 }) => (momentum > 0 ? (['buffer'] as const) : []),
  scalars({ dampening = 0 }, { step, learningRate }) {
    // PyTorch does not dampen the first gradient: the buffer starts at zeros, so the first buffer must be g itself.
    return { learningRate, freshFraction: step === 1 ? 1 : 1 - dampening };
  },
  update({ momentum = 0, dampening = 0, nesterov = false, weightDecay = 0 }, values) {
    const { parameters, slots, scalars } = values;
    const gradient = withWeightDecay(values.gradient, parameters, weightDecay);
    const stepAlong = (direction: Formula): Formula =>
      apply('sub', parameters, apply('mul', scalars.learningRate, direction));
    if (momentum === 0) return { parameters: stepAlong(gradient) };
    const fresh = dampening > 0 ? apply('mul', gradient, scalars.freshFraction) : gradient;
    const decayed = apply('mul', slots.buffer, constant(momentum));
    return {
      buffer: apply('add', decayed, fresh),
      parameters: stepAlong(nesterov ? apply('add', gradient, decayed) : slots.buffer),
    };
  },
} satisfies Omit<OptimizerRule<SgdConfig, 'buffer', SgdScalar>, 'schema' | 'defaultLearningRate'>;

const schema = v.pipe(
  v.strictObject({ type: v.literal('sgd'), ...sgdSettings, momentum: v.exactOptional(fractionBelowOne) }),
  nesterovCheck(),
);

export const sgd = {
  ...sgdRule,
  schema,
  defaultLearningRate: 0.1,
} satisfies OptimizerRule<v.InferOutput<typeof schema>, 'buffer', SgdScalar>;
