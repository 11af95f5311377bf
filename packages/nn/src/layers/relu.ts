/** Rectified linear unit: `max(x, 0)`, elementwise. */
import { relu as reluOp } from '@lockstep/tensor';
import * as v from 'valibot';
import type { LayerKind } from './layer.ts';

const schema = v.strictObject({ type: v.literal('relu') });

export const relu = {
  schema,
  outputShape: (_, input) => input,
  parameters: () => [],
  forward: (_, input) => reluOp(input),
} satisfies LayerKind<v.InferOutput<typeof schema>>;
