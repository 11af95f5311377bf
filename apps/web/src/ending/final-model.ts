/** Writes the model of a finished run as a file. A chunk of its own, because it includes the layers. */
import { parseModel, writeModelFile } from '@lockstep/nn';
import { floatsFrom, type WatchMessageOf } from '@lockstep/protocol';

/**
 * Returns a safetensors file.
 * @param model JSON data
 * @param weights those of the result's step
 */
export function finalModel(model: unknown, weights: Uint8Array, { metadata }: WatchMessageOf<'result'>): Blob {
  return new Blob([writeModelFile(parseModel(model), floatsFrom(weights), metadata)]);
}
