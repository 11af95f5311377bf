/** The engine in the page: what the current model says about one image. Loaded when somebody draws. */
import { createPrediction, inputSize, parameterCount, parseModel } from '@lockstep/nn';
import { floatsFrom } from '@lockstep/protocol';
import { openBackend } from '@lockstep/tensor';

export interface Predictor {
  /** Values in one sample. */
  readonly inputSize: number;
  /** All parameters in model order, little-endian float32. */
  setWeights(bytes: Uint8Array): void;
  /** Class scores before the softmax, with the weights set last. */
  scores(pixels: Uint8Array): Promise<Float32Array>;
}

/** @throws Error with one sentence where the model cannot be read or nothing can compute it. */
export async function openPredictor(modelData: unknown): Promise<Predictor> {
  const model = parseModel(modelData);
  // One image on the GPU would be slower, and the page's own thread must stay free.
  const { backend } = await openBackend('cpu').catch(() => openBackend('reference'));
  const parameters = backend.allocate(parameterCount(model));
  const plan = createPrediction(backend, model, 1, parameters);
  return {
    inputSize: inputSize(model),
    setWeights: (bytes) => backend.upload(parameters, floatsFrom(bytes)),
    scores(pixels) {
      plan.run(pixels);
      return backend.download(plan.output);
    },
  };
}
