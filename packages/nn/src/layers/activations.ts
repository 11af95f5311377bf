/** Activations: elementwise functions without parameters. */
import * as ops from '@lockstep/tensor';
import * as v from 'valibot';
import { fraction } from '../check.ts';
import type { LayerKind } from './layer.ts';

function activation<const Type extends string>(type: Type, fn: (x: ops.Tensor) => ops.Tensor) {
  const schema = v.strictObject({ type: v.literal(type) });
  return { schema, forward: (_, input) => fn(input) } satisfies LayerKind<v.InferOutput<typeof schema>>;
}

/** `max(x, 0)`. */
export const relu = activation('relu', ops.relu);

/** `x Phi(x)` with the exact normal distribution function Phi, not the tanh approximation, as in `torch.nn.GELU`. */
export const gelu = activation('gelu', ops.gelu);

/** `1 / (1 + e^-x)`. */
export const sigmoid = activation('sigmoid', ops.sigmoid);

export const tanh = activation('tanh', ops.tanh);

/** `log(1 + e^x)`. */
export const softplus = activation('softplus', ops.softplus);

/** `x / (1 + |x|)`. */
export const softsign = activation('softsign', ops.softsign);

const leakySchema = v.strictObject({
  type: v.literal('leakyRelu'),
  /** 0.01 by default. */
  slope: v.exactOptional(fraction),
});

/** `x` if x > 0, else `slope * x`. */
export const leakyRelu = {
  schema: leakySchema,
  forward: ({ slope = 0.01 }, input) => ops.leakyRelu(input, slope),
} satisfies LayerKind<v.InferOutput<typeof leakySchema>>;
