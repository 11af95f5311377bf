/** The run's model as a file, and its optimizer's schedule. A chunk of its own, because it includes the layers. */
import { learningRateAt, parseModel, parseOptimizer, writeModelFile } from '@lockstep/nn';
import { floatsFrom, type WatchMessageOf } from '@lockstep/protocol';

/**
 * Returns a safetensors file.
 * @param model JSON data
 * @param weights those of the result's step
 */
export function finalModel(model: unknown, weights: Uint8Array, result: WatchMessageOf<'result'>): Blob {
  const metadata = JSON.parse(new TextDecoder().decode(result.metadata)) as Readonly<Record<string, string>>;
  return new Blob([writeModelFile(parseModel(model), floatsFrom(weights), metadata)]);
}

/**
 * Returns the learning rate as a function of the step.
 * @param optimizer plain data
 * @throws Error if this release does not know the optimizer
 */
export function learningRateOf(optimizer: unknown): (step: number) => number {
  const config = parseOptimizer(optimizer);
  return (step) => learningRateAt(config, step);
}
