/** Outputs for samples without labels, compiled for a fixed number of them. */
import { type Backend, compile, type Program, type Storage } from '@lockstep/tensor';
import { forward } from './forward.ts';
import type { Model } from './model.ts';
import { parameterTensors } from './parameters.ts';
import { checkSamples, createSampleInput, type SampleValues } from './sample-input.ts';

export interface PredictionPlan {
  /** [samples, outputs]: class scores before the softmax, or values. */
  readonly output: Storage;
  /** Takes in samples [samples, ...input]. @returns the rest of that work, for the thread that computes */
  load(samples: SampleValues): readonly Program[];
  /** What computes from the samples that were loaded, and leaves in `output` what `run` leaves. */
  into(output: Storage): Program;
  run(samples: SampleValues): void;
  dispose(): void;
}

/** `parameters` [P] stay the caller's and are read anew at each run. */
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
