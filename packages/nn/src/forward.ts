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
  return layerOutputs(model, x, parameters, { random }).at(-1)!;
}

interface LayerOptions {
  /** Given in training only. */
  readonly random?: Omit<RandomKeys, 'stream'> | undefined;
  /** What the next layer reads instead of a layer's output [n, ...output]; the output itself where left out. */
  readonly pass?: (output: Tensor, layer: number) => Tensor;
}

/**
 * What each layer gives, in the order of `model.layers`.
 * `x` [n, ...input] -> [n, ...output] for every layer.
 * `parameters` as for `forward`.
 */
export function layerOutputs(
  model: Model,
  x: Tensor,
  parameters: readonly Tensor[],
  { random, pass = (output) => output }: LayerOptions = {},
): Tensor[] {
  const layout = parameterLayout(model);
  let input = x;
  return model.layers.map((layer, index) => {
    const own = parameters.filter((_, position) => layout[position]!.layer === index);
    input = pass(layerKind(layer).forward(layer, input, own, random && { ...random, stream: index }), index);
    return input;
  });
}
