/** Runs the model on one sample, and decodes pictures. A chunk of its own, because it includes the tensor engine. */
import type { SampleValues } from '@lockstep/data';
import { createPrediction, inputSize, parameterCount, parseModel } from '@lockstep/nn';
import { floatsFrom } from '@lockstep/protocol';
import { openBackend } from '@lockstep/tensor';

export { openPageDecoder } from '@lockstep/data/readers';

export type Inference = Awaited<ReturnType<typeof openInference>>;

/** @throws Error if the model is invalid or no backend can compute it */
export async function openInference(modelData: unknown) {
  const model = parseModel(modelData);
  // Not on the GPU: computing one sample takes less time than uploading it.
  const { backend } = await openBackend('cpu').catch(() => openBackend('reference'));
  const parameters = backend.allocate(parameterCount(model));
  const plan = createPrediction(backend, model, 1, parameters);
  return {
    /** Number of values in one sample. */
    inputSize: inputSize(model),
    /** @param bytes all parameters in model order, little-endian float32 */
    setWeights: (bytes: Uint8Array): void => backend.upload(parameters, floatsFrom(bytes)),
    /** Returns the logits, or the predicted values, with the weights set last. */
    logits(sample: SampleValues): Promise<Float32Array> {
      plan.run(sample);
      return backend.download(plan.output);
    },
  };
}
