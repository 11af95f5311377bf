/** A fully connected layer: `x[n, in] @ weight[in, units] + bias[units]`. */
import { add, formatShape, matmul, type Shape } from '@lockstep/tensor';
import * as v from 'valibot';
import { wholeNumber } from '../check.ts';
import { sameLayout } from '../torch-layout.ts';
import { initialBounds, initializer } from './initializer.ts';
import type { LayerKind } from './layer.ts';

const schema = v.strictObject({ type: v.literal('dense'), units: wholeNumber(1, 65_536), init: initializer });

export const dense = {
  schema,
  outputShape({ units }, input) {
    inputUnits(input);
    return [units];
  },
  parameters(config, input, image) {
    const { units } = config;
    const fanIn = inputUnits(input);
    const { weight, bias } = initialBounds(config, fanIn, units);
    // PyTorch stores [out, in], and flattens an image channel by channel; this project flattens it pixel by pixel.
    const torch =
      image?.length === 3
        ? { view: [...image, units], order: [3, 2, 0, 1], shape: [units, fanIn] }
        : { view: [fanIn, units], order: [1, 0], shape: [units, fanIn] };
    return [
      { suffix: 'weight', shape: [fanIn, units], bound: weight, torch },
      { suffix: 'bias', shape: [units], bound: bias, torch: sameLayout([units]) },
    ];
  },
  forward(_, input, [weight, bias]) {
    return add(matmul(input, weight!), bias!);
  },
} satisfies LayerKind<v.InferOutput<typeof schema>>;

function inputUnits(shape: Shape): number {
  if (shape.length === 1) return shape[0]!;
  throw new Error(`expected a sample of one axis, got ${formatShape(shape)}`);
}
