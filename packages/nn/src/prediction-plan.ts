/** Class scores of samples without labels, compiled for a fixed number of them. */
import { type Backend, compile, createByteInput, type Program, type Storage } from '@lockstep/tensor';
import { forward } from './forward.ts';
import { checkLength, checkSamples, pixelDivisor } from './labeled-plan.ts';
import { inputSize, type Model } from './model.ts';
import { parameterTensors } from './parameters.ts';

export interface PredictionPlan {
  /** Class scores before the softmax, [samples, classes]. */
  readonly output: Storage;
  /** Takes in `pixels` [samples * inputSize], read as byte / 255. @returns the rest of that work, for the thread that computes */
  load(pixels: Uint8Array): Program;
  /** What computes from the pixels that were loaded, and leaves the scores in `output`. */
  into(output: Storage): Program;
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
  const pixelInput = createByteInput(backend, plan.inputs[0]!.storage, pixelDivisor);
  const load = (pixels: Uint8Array): Program => {
    checkLength('pixels', pixels, pixelCount);
    return pixelInput.take(pixels);
  };
  return {
    output: plan.output,
    load,
    into: (storage) => plan.into(storage),
    run(pixels) {
      load(pixels).run();
      plan.run();
    },
    dispose() {
      pixelInput.dispose();
      plan.dispose();
    },
  };
}
