/** Activations: layers without parameters that bend each value by itself. */
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
import { finiteNumber } from '../check.ts';
import type { LayerKind } from './layer.ts';

function activation<const Type extends string>(type: Type, bend: (x: Tensor) => Tensor) {
  const schema = v.strictObject({ type: v.literal(type) });
  return {
    schema,
    outputShape: (_, input) => input,
    parameters: () => [],
    forward: (_, input) => bend(input),
  } satisfies LayerKind<v.InferOutput<typeof schema>>;
}

/** `max(x, 0)`. */
export const relu = activation('relu', reluOp);

/** `x Phi(x)` with the normal distribution's Phi, exact as `torch.nn.GELU`. */
export const gelu = activation('gelu', (x) => geluOp(x));

/** `1 / (1 + e^-x)`. */
export const sigmoid = activation('sigmoid', sigmoidOp);

export const tanh = activation('tanh', tanhOp);

/** `log(1 + e^x)`. */
export const softplus = activation('softplus', softplusOp);

const leakySchema = v.strictObject({
  type: v.literal('leakyRelu'),
  /** 0.01 where left out. */
  slope: v.exactOptional(finiteNumber('expected a number from 0 to 1', (value) => value >= 0 && value <= 1)),
});

/** x above 0, `slope * x` below. */
export const leakyRelu = {
  schema: leakySchema,
  outputShape: (_, input) => input,
  parameters: () => [],
  forward: ({ slope = 0.01 }, input) => leakyReluOp(input, slope),
} satisfies LayerKind<v.InferOutput<typeof leakySchema>>;
