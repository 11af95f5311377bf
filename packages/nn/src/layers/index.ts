/** The table of layer kinds: a new kind is one file beside this one and one entry here. */
import * as v from 'valibot';
import { gelu, leakyRelu, relu, sigmoid, softplus, softsign, tanh } from './activations.ts';
import { conv2d } from './conv2d.ts';
import { dense } from './dense.ts';
import { dropout } from './dropout.ts';
import { flatten } from './flatten.ts';
import type { LayerKind } from './layer.ts';
import { averagePool2d, maxPool2d } from './pooling.ts';

/** The table of layers: a new one is one entry. */
export const layers = {
  dense,
  conv2d,
  maxPool2d,
  averagePool2d,
  flatten,
  dropout,
  relu,
  leakyRelu,
  gelu,
  sigmoid,
  tanh,
  softplus,
  softsign,
};

export const layerSchema = v.variant(
  'type',
  Object.values(layers).map(({ schema }) => schema),
);

/** One layer of a model, as plain data. */
export type Layer = v.InferOutput<typeof layerSchema>;

/** The name of a layer in a layer list. */
export type LayerType = Layer['type'];

/** The kind of `layer`; call it with that same layer as its config only. */
export function layerKind(layer: Layer): LayerKind<Layer> {
  return layers[layer.type] as LayerKind<Layer>;
}
