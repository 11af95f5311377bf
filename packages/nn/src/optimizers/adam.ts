/**
 * Adam, with the defaults and the order of operations of `torch.optim.Adam`.
 * Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015:
 *
 *     g += weightDecay * p
 *     m += (1 - beta1) (g - m)
 *     v = beta2 v + (1 - beta2) g^2
 *     p -= learningRate / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + epsilon)
 */
import { apply, constant, type Formula } from '@lockstep/tensor';
import * as v from 'valibot';
import { fractionBelowOne, nonNegative } from '../check.ts';
import { power } from '../schedules.ts';
import type { OptimizerRule, RuleResult, RuleValues } from './rule.ts';
import { commonSettings, weightDecaySetting, withWeightDecay } from './settings.ts';

export interface AdamConfig {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
}

export type AdamSlot = 'firstMoment' | 'secondMoment';
export type AdamScalar = 'stepSize' | 'secondCorrection';

/** All settings except the weight decay, in which Adam and AdamW differ. */
export const adamSettings = {
  ...commonSettings,
  beta1: v.optional(fractionBelowOne, 0.9),
  beta2: v.optional(fractionBelowOne, 0.999),
  epsilon: v.optional(nonNegative, 1e-8),
};

export const adamRule = {
  slots: () => ['firstMoment', 'secondMoment'] as const,
  scalars: ({ beta1, beta2 }, { step, learningRate }) => ({
    stepSize: learningRate / (1 - power(beta1, step)),
    secondCorrection: Math.sqrt(1 - power(beta2, step)),
  }),
} satisfies Pick<OptimizerRule<AdamConfig, AdamSlot, AdamScalar>, 'slots' | 'scalars'>;

/** Returns the formulas of a step that starts from `values.parameters`. */
export function adamUpdate(
  { beta1, beta2, epsilon }: AdamConfig,
  { parameters, gradient, slots, scalars }: RuleValues<AdamSlot, AdamScalar>,
): RuleResult<AdamSlot> {
  const { firstMoment, secondMoment } = slots;
  const square: Formula = apply('mul', apply('mul', gradient, constant(1 - beta2)), gradient);
  const rootMeanSquare = apply('div', apply('sqrt', secondMoment), scalars.secondCorrection);
  const stride = apply('mul', scalars.stepSize, firstMoment);
  return {
    firstMoment: apply('add', firstMoment, apply('mul', apply('sub', gradient, firstMoment), constant(1 - beta1))),
    secondMoment: apply('add', apply('mul', secondMoment, constant(beta2)), square),
    parameters: apply('sub', parameters, apply('div', stride, apply('add', rootMeanSquare, constant(epsilon)))),
  };
}

const schema = v.strictObject({ type: v.literal('adam'), ...adamSettings, weightDecay: weightDecaySetting });

export const adam = {
  ...adamRule,
  schema,
  defaultLearningRate: 0.002,
  update(config, values) {
    const gradient = withWeightDecay(values.gradient, values.parameters, config.weightDecay ?? 0);
    return adamUpdate(config, { ...values, gradient });
  },
} satisfies OptimizerRule<v.InferOutput<typeof schema>, AdamSlot, AdamScalar>;
