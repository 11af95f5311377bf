/** SGD with a default momentum of 0.9, as an optimizer of its own name. */
import * as v from 'valibot';
import { fractionBelowOne } from '../check.ts';
import type { OptimizerRule } from './rule.ts';
import { nesterovCheck, type SgdScalar, sgdRule, sgdSettings } from './sgd.ts';

const schema = v.pipe(
  v.strictObject({ type: v.literal('momentum'), ...sgdSettings, momentum: v.optional(fractionBelowOne, 0.9) }),
  nesterovCheck(),
);

export const momentum = {
  ...sgdRule,
  schema,
  defaultLearningRate: 0.05,
} satisfies OptimizerRule<v.InferOutput<typeof schema>, 'buffer', SgdScalar>;
