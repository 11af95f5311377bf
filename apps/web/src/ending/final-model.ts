/** Writes the model of a run that is over as a file; a chunk of its own, since it carries the layers. */
import { parseModel, writeModelFile } from '@lockstep/nn';
import { floatsFrom, type WatchMessageOf } from '@lockstep/protocol';

/** A safetensors file. @param model as JSON data; @param weights of the result's step */
export function finalModel(model: unknown, weights: Uint8Array, { metadata }: WatchMessageOf<'result'>): Blob {
  return new Blob([writeModelFile(parseModel(model), floatsFrom(weights), metadata)]);
}
