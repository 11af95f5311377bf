/** The table of layer kinds: adding a kind takes a file next to this one and an entry here. */
import * as v from 'valibot';
import { gelu, leakyRelu, relu, sigmoid, softplus, softsign, tanh } from './activations.ts';
import { conv2d } from './conv2d.ts';
import { dense } from './dense.ts';
import { dropout } from './dropout.ts';
import { flatten } from './flatten.ts';
import type { LayerKind } from './layer.ts';
import { averagePool2d, maxPool2d } from './pooling.ts';

/** The table of layers, by type. */
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

/** Returns the kind of `layer`. Call its methods only with the same layer as config. */
export function layerKind(layer: Layer): LayerKind<Layer> {
  return layers[layer.type] as LayerKind<Layer>;
}
