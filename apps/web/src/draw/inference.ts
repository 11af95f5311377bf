/** Runs the model on one image; a chunk of its own, since it carries the tensor engine. */
import { createPrediction, inputSize, parameterCount, parseModel } from '@lockstep/nn';
import { floatsFrom } from '@lockstep/protocol';
import { openBackend } from '@lockstep/tensor';

export interface Inference {
  /** Values in one sample. */
  readonly inputSize: number;
  /** All parameters in model order, little-endian float32. */
  setWeights(bytes: Uint8Array): void;
  /** Class scores before the softmax, with the weights set last. */
  logits(pixels: Uint8Array): Promise<Float32Array>;
}

/** @throws Error where the model is invalid or no backend can compute it. */
export async function openInference(modelData: unknown): Promise<Inference> {
  const model = parseModel(modelData);
  // Not on the GPU: one image is computed faster than it is uploaded.
  const { backend } = await openBackend('cpu').catch(() => openBackend('reference'));
  const parameters = backend.allocate(parameterCount(model));
  const plan = createPrediction(backend, model, 1, parameters);
  return {
    inputSize: inputSize(model),
    setWeights: (bytes) => backend.upload(parameters, floatsFrom(bytes)),
    logits(pixels) {
      plan.run(pixels);
      return backend.download(plan.output);
    },
  };
}
