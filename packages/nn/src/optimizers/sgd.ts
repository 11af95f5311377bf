/** Stochastic gradient descent: `p -= learningRate * g`, and what `torch.optim.SGD` can add to it. */
import * as v from 'valibot';
import { type DescentNumber, descent, descentMessage, descentSettings, isDescent } from './descent.ts';
import type { OptimizerRule } from './rule.ts';
import { share } from './settings.ts';

const schema = v.pipe(
  v.strictObject({ type: v.literal('sgd'), ...descentSettings, momentum: v.exactOptional(share) }),
  v.check((config) => isDescent(config), descentMessage),
);

export const sgd = {
  schema,
  ...descent,
} satisfies OptimizerRule<v.InferOutput<typeof schema>, 'buffer', DescentNumber>;
