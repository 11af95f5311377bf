/** The table of layer kinds: a new kind is one file beside this one, and one line here. */
import * as v from 'valibot';
import { dense } from './dense.ts';
import type { LayerKind } from './layer.ts';
import { relu } from './relu.ts';

export const layers = { dense, relu };

export const layerSchema = v.variant(
  'type',
  Object.values(layers).map(({ schema }) => schema),
);

/** One layer of a model, as plain data. */
export type Layer = v.InferOutput<typeof layerSchema>;

/** The kind of `layer`; it is to be called with that same layer as its config. */
export function layerKind(layer: Layer): LayerKind<Layer> {
  return layers[layer.type] as LayerKind<Layer>;
}
