/** Flattens each sample, of any shape, in row-major order: `[n, h, w, c] -> [n, h * w * c]`. */
import { reshape, sizeOf } from '@lockstep/tensor';
import * as v from 'valibot';
import type { LayerKind } from './layer.ts';

const schema = v.strictObject({ type: v.literal('flatten') });

export const flatten = {
  schema,
  outputShape: (_, input) => [sizeOf(input)],
  forward: (_, input) => reshape(input, [input.shape[0]!, -1]),
} satisfies LayerKind<v.InferOutput<typeof schema>>;
