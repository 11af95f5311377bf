/** The same descent under the name that people know it by, with a momentum of 0.9 where none is given. */
import * as v from 'valibot';
import { type DescentNumber, descent, descentMessage, descentSettings, isDescent } from './descent.ts';
import type { OptimizerRule } from './rule.ts';
import { share } from './settings.ts';

const schema = v.pipe(
  v.strictObject({ type: v.literal('momentum'), ...descentSettings, momentum: v.optional(share, 0.9) }),
  v.check((config) => isDescent(config), descentMessage),
);

export const momentum = {
  schema,
  ...descent,
} satisfies OptimizerRule<v.InferOutput<typeof schema>, 'buffer', DescentNumber>;
