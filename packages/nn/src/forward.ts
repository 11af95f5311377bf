/** A model's layers as tensor operations, one after another. */
import type { RandomKeys, Tensor } from '@lockstep/tensor';
import { layerKind } from './layers/index.ts';
import type { Model } from './model.ts';
import { parameterLayout } from './parameters.ts';

/**
 * `x` [n, ...input] -> class scores before the softmax [n, classes]; `parameters` holds one tensor per entry of
 * `parameterLayout(model)`. `random` is given in training only, and fixes what is dropped.
 */
export function forward(
  model: Model,
  x: Tensor,
  parameters: readonly Tensor[],
  random?: Omit<RandomKeys, 'stream'>,
): Tensor {
  const layout = parameterLayout(model);
  return model.layers.reduce((input, layer, index) => {
    const own = parameters.filter((_, position) => layout[position]!.layer === index);
    return layerKind(layer).forward(layer, input, own, random && { ...random, stream: index });
  }, x);
}
