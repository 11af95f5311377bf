/** Adam, with `torch.optim.Adam`'s defaults; weight decay, where wanted, joins the gradient: `g += weightDecay * p`. */
import { apply, constant } from '@lockstep/tensor';
import * as v from 'valibot';
import { type MomentsNumber, type MomentsSlot, moments, momentsSettings, momentsStep } from './moments.ts';
import type { OptimizerRule } from './rule.ts';
import { notNegative } from './settings.ts';

const schema = v.strictObject({
  type: v.literal('adam'),
  ...momentsSettings,
  weightDecay: v.exactOptional(notNegative),
});

export const adam = {
  schema,
  ...moments,
  update(config, values) {
    const { weightDecay = 0 } = config;
    const { parameters } = values;
    const gradient =
      weightDecay > 0
        ? apply('add', values.gradient, apply('mul', parameters, constant(weightDecay)))
        : values.gradient;
    return momentsStep(config, values, gradient, parameters);
  },
} satisfies OptimizerRule<v.InferOutput<typeof schema>, MomentsSlot, MomentsNumber>;
