/** Activations: elementwise functions without parameters. */
import {
  gelu as geluOp,
  leakyRelu as leakyReluOp,
  relu as reluOp,
  sigmoid as sigmoidOp,
  softplus as softplusOp,
  type Tensor,
  tanh as tanhOp,
} from '@lockstep/tensor';
import * as v from 'valibot';
import { fraction } from '../check.ts';
import type { LayerKind } from './layer.ts';

const elementwise = {
  outputShape: (_, input) => input,
  parameters: () => [],
} satisfies Pick<LayerKind<unknown>, 'outputShape' | 'parameters'>;

function activation<const Type extends string>(type: Type, fn: (x: Tensor) => Tensor) {
  const schema = v.strictObject({ type: v.literal(type) });
  return {
    ...elementwise,
    schema,
    forward: (_, input) => fn(input),
  } satisfies LayerKind<v.InferOutput<typeof schema>>;
}

/** `max(x, 0)`. */
export const relu = activation('relu', reluOp);

/** `x Phi(x)` with the normal distribution's Phi, not its tanh approximation; as `torch.nn.GELU`. */
export const gelu = activation('gelu', (x) => geluOp(x));

/** `1 / (1 + e^-x)`. */
export const sigmoid = activation('sigmoid', sigmoidOp);

export const tanh = activation('tanh', tanhOp);

/** `log(1 + e^x)`. */
export const softplus = activation('softplus', softplusOp);

const leakySchema = v.strictObject({
  type: v.literal('leakyRelu'),
  /** 0.01 where left out. */
  slope: v.exactOptional(fraction),
});

/** x above 0, `slope * x` below. */
export const leakyRelu = {
  ...elementwise,
  schema: leakySchema,
  forward: ({ slope = 0.01 }, input) => leakyReluOp(input, slope),
} satisfies LayerKind<v.InferOutput<typeof leakySchema>>;
