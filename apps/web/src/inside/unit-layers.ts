/** The layers in which each neuron or filter of the first layer has values of its own. */
import type { LayerTrace, SampleTrace } from '@lockstep/lesson';

/** Returns the first layer with weights, and those before the next one that have the same number of units. */
export function unitLayers({ layers }: SampleTrace): readonly LayerTrace[] {
  const first = layers.findIndex(({ parameters }) => parameters.length > 0);
  if (first === -1) return [];
  const next = layers.findIndex(({ parameters }, index) => index > first && parameters.length > 0);
  const own = layers.slice(first, next === -1 ? undefined : next);
  return own.filter(({ shape }) => shape.length === own[0]!.shape.length && shape.at(-1) === own[0]!.shape.at(-1));
}
