/** Class scores of samples without labels, compiled for a fixed number of them. */
import { type Backend, compile, type Storage } from '@lockstep/tensor';
import { forward } from './forward.ts';
import { checkLength, checkSamples, pixelDivisor } from './labeled-plan.ts';
import { inputSize, type Model } from './model.ts';
import { parameterTensors } from './parameters.ts';

export interface PredictionPlan {
  /** Class scores before the softmax, [samples, classes]. */
  readonly output: Storage;
  /** `pixels` [samples * inputSize], read as byte / 255. */
  run(pixels: Uint8Array): void;
  dispose(): void;
}

/** `parameters` [P] stay the caller's and are read anew at each run. */
export function createPrediction(backend: Backend, model: Model, samples: number, parameters: Storage): PredictionPlan {
  checkSamples(samples);
  const plan = compile(backend, (x, ...tensors) => [forward(model, x!, tensors)], [
    [samples, ...model.input],
    ...parameterTensors(backend, model, parameters),
  ]);
  const pixelCount = samples * inputSize(model);
  return {
    output: plan.output,
    run(pixels) {
      checkLength('pixels', pixels, pixelCount);
      backend.uploadBytes(plan.inputs[0]!.storage, pixels, pixelDivisor);
      plan.run();
    },
    dispose: () => plan.dispose(),
  };
}
