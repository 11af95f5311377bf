/**
 * Gradient descent with the settings of `torch.optim.SGD`: weight decay, momentum, dampening, Nesterov.
 *
 *     g += weightDecay * p
 *     buffer = momentum * buffer + (1 - dampening) * g      (the first buffer is g itself)
 *     p -= learningRate * (nesterov ? g + momentum * buffer : buffer)
 */
import { apply, constant, type Formula } from '@lockstep/tensor';
import * as v from 'valibot';
import type { OptimizerRule } from './rule.ts';
import { commonSettings, notNegative, share } from './settings.ts';

export interface DescentConfig {
  readonly momentum?: number;
  readonly dampening?: number;
  readonly nesterov?: boolean;
  readonly weightDecay?: number;
}

export type DescentNumber = 'learningRate' | 'undampened';

export const descentSettings = {
  ...commonSettings,
  dampening: v.exactOptional(share),
  nesterov: v.exactOptional(v.boolean('expected true or false')),
  weightDecay: v.exactOptional(notNegative),
};

export const descentMessage = 'expected nesterov only with a momentum above 0 and without dampening';

export function isDescent({ momentum = 0, dampening = 0, nesterov = false }: DescentConfig): boolean {
  return !nesterov || (momentum > 0 && dampening === 0);
}

export const descent = {
  slots: ({ momentum = 0 }) => (momentum > 0 ? (['buffer'] as const) : []),
  numbers({ dampening = 0 }, { step, learningRate }) {
    // A buffer of zeros makes the first one equal to g, which PyTorch does not dampen.
    return { learningRate, undampened: step === 1 ? 1 : 1 - dampening };
  },
  update({ momentum = 0, dampening = 0, nesterov = false, weightDecay = 0 }, values) {
    const { parameters, slots, numbers } = values;
    const gradient =
      weightDecay > 0
        ? apply('add', values.gradient, apply('mul', parameters, constant(weightDecay)))
        : values.gradient;
    const moved = (direction: Formula): Formula =>
      apply('sub', parameters, apply('mul', numbers.learningRate, direction));
    if (momentum === 0) return { parameters: moved(gradient) };
    const fresh = dampening > 0 ? apply('mul', gradient, numbers.undampened) : gradient;
    const kept = apply('mul', slots.buffer, constant(momentum));
    return {
      buffer: apply('add', kept, fresh),
      parameters: moved(nesterov ? apply('add', gradient, kept) : slots.buffer),
    };
  },
} satisfies Omit<OptimizerRule<DescentConfig, 'buffer', DescentNumber>, 'schema'>;
