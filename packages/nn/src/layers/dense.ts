/** A fully connected layer: `x[n, in] @ weight[in, units] + bias[units]`. */
import { add, matmul } from '@lockstep/tensor';
import * as v from 'valibot';
import { wholeNumber } from '../check.ts';
import type { LayerKind } from './layer.ts';

const schema = v.strictObject({ type: v.literal('dense'), units: wholeNumber(1, 65_536) });

export const dense = {
  schema,
  outputShape({ units }, input) {
    inputs(input);
    return [units];
  },
  parameters({ units }, input) {
    const fanIn = inputs(input);
    return [
      { suffix: 'weight', shape: [fanIn, units], fanIn, torchLayout: 'transposed' },
      { suffix: 'bias', shape: [units], fanIn, torchLayout: 'same' },
    ];
  },
  forward(_, input, [weight, bias]) {
    return add(matmul(input, weight!), bias!);
  },
} satisfies LayerKind<v.InferOutput<typeof schema>>;

function inputs(shape: readonly number[]): number {
  if (shape.length === 1) return shape[0]!;
  throw new Error(`expected a sample of one axis, got [${shape.join(', ')}]`);
}
