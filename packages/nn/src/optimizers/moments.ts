/**
 * Adam's step, from averages of the gradient and of its square.
 * Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015; in the order of operations of `torch.optim.Adam`:
 *
 *     m += (1 - beta1) (g - m)
 *     v = beta2 v + (1 - beta2) g^2
 *     p -= learningRate / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + epsilon)
 */
import { apply, constant, type Formula } from '@lockstep/tensor';
import * as v from 'valibot';
import { power } from '../schedules.ts';
import type { OptimizerRule, RuleResult, RuleValues } from './rule.ts';
import { commonSettings, notNegative, share } from './settings.ts';

export interface MomentsConfig {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
}

export type MomentsSlot = 'firstMoment' | 'secondMoment';
export type MomentsNumber = 'stepSize' | 'secondCorrection';

export const momentsSettings = {
  ...commonSettings,
  beta1: v.optional(share, 0.9),
  beta2: v.optional(share, 0.999),
  epsilon: v.optional(notNegative, 1e-8),
};

export const moments = {
  slots: () => ['firstMoment', 'secondMoment'] as const,
  numbers: ({ beta1, beta2 }, { step, learningRate }) => ({
    stepSize: learningRate / (1 - power(beta1, step)),
    secondCorrection: Math.sqrt(1 - power(beta2, step)),
  }),
} satisfies Omit<OptimizerRule<MomentsConfig, MomentsSlot, MomentsNumber>, 'schema' | 'update'>;

/** The formulas of a step: `gradient` feeds the averages, and `from` is what the step leads away from. */
export function momentsStep(
  { beta1, beta2, epsilon }: MomentsConfig,
  { slots, numbers }: RuleValues<MomentsSlot, MomentsNumber>,
  gradient: Formula,
  from: Formula,
): RuleResult<MomentsSlot> {
  const { firstMoment, secondMoment } = slots;
  const square = apply('mul', apply('mul', gradient, constant(1 - beta2)), gradient);
  const spread = apply('div', apply('sqrt', secondMoment), numbers.secondCorrection);
  const stride = apply('mul', numbers.stepSize, firstMoment);
  return {
    firstMoment: apply('add', firstMoment, apply('mul', apply('sub', gradient, firstMoment), constant(1 - beta1))),
    secondMoment: apply('add', apply('mul', secondMoment, constant(beta2)), square),
    parameters: apply('sub', from, apply('div', stride, apply('add', spread, constant(epsilon)))),
  };
}
