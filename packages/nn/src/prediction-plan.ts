/** A model compiled for a fixed number of samples without labels. */
import { type Backend, compile, type Program, type Storage } from '@lockstep/tensor';
import { forward } from './forward.ts';
import type { Model } from './model.ts';
import { parameterTensors } from './parameters.ts';
import { checkSamples, createSampleInput, type SampleValues } from './sample-input.ts';

export interface PredictionPlan {
  /** [samples, outputs]: class scores before the softmax, or values. */
  readonly output: Storage;
  /** Loads samples [samples, ...input]. @returns programs that finish loading, for the thread that runs the plan */
  load(samples: SampleValues): readonly Program[];
  /** Returns a program that computes the result of `run` from the loaded samples into `output`. */
  into(output: Storage): Program;
  run(samples: SampleValues): void;
  dispose(): void;
}

/** Compiles a prediction plan. The caller owns `parameters` [P]; each run reads their current values. */
export function createPrediction(backend: Backend, model: Model, samples: number, parameters: Storage): PredictionPlan {
  checkSamples(samples);
  const tensors = parameterTensors(backend, model, parameters);
  const sampleInput = createSampleInput(backend, [samples, ...model.input]);
  const plan = compile(backend, (x, ...weights) => [forward(model, x!, weights)], [sampleInput.x, ...tensors]);
  return {
    output: plan.output,
    load: (values) => sampleInput.take(values),
    into: (storage) => plan.into(storage),
    run(values) {
      for (const program of sampleInput.take(values)) program.run();
      plan.run();
    },
    dispose() {
      plan.dispose();
      sampleInput.dispose();
    },
  };
}
