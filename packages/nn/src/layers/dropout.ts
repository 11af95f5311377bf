/**
 * Dropout, as in `torch.nn.Dropout`: in training, each value becomes 0 with probability `rate`, and the others are
 * multiplied by 1 / (1 - rate), which preserves the mean; in evaluation, values are unchanged. Srivastava et al., 2014.
 */
import { dropout as dropoutOp } from '@lockstep/tensor';
import * as v from 'valibot';
import { fractionBelowOne } from '../check.ts';
import type { LayerKind } from './layer.ts';

const schema = v.strictObject({ type: v.literal('dropout'), rate: fractionBelowOne });

export const dropout = {
  schema,
  isRandom: ({ rate }) => rate > 0,
  forward: ({ rate }, input, _, random) => (random === undefined ? input : dropoutOp(input, rate, random)),
} satisfies LayerKind<v.InferOutput<typeof schema>>;
