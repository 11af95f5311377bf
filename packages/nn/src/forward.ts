/** Forward pass: applies a model's layers one after another. */
import type { RandomKeys, Tensor } from '@lockstep/tensor';
import { layerKind } from './layers/index.ts';
import type { Model } from './model.ts';
import { parameterLayout } from './parameters.ts';

/**
 * Maps `x` [n, ...input] to outputs [n, outputs], which are logits if targets are classes. `parameters` holds one
 * tensor per entry of `parameterLayout(model)`. `random`, given only in training, determines the dropout masks.
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
  /** Given only in training. */
  readonly random?: Omit<RandomKeys, 'stream'> | undefined;
  /** Replaces a layer's output [n, ...output] as the input of the next layer; by default, keeps the output. */
  readonly pass?: (output: Tensor, layer: number) => Tensor;
}

/**
 * Returns each layer's output [n, ...output] for `x` [n, ...input], in the order of `model.layers`.
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
