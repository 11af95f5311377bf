/** Evaluates a model on a labeled data set in slices, so that a thread which serves others too stays responsive. */
import type { Backend, Storage } from '@lockstep/tensor';
import type { LabeledPlan } from './labeled-plan.ts';
import type { Model } from './model.ts';
import { parameterCount } from './parameters.ts';
import type { PredictionPlan } from './prediction-plan.ts';

export interface LabeledSamples {
  /** u8, one sample after another. */
  readonly images: Uint8Array;
  /** Class indices, [count]. */
  readonly labels: Uint8Array;
}

export interface DatasetEvaluator<Result> {
  /**
   * @param weights all parameters in model order; copied before the first pause
   * @param pause awaited between slices
   */
  evaluate(weights: Float32Array, pause: () => Promise<void>): Promise<Result>;
  dispose(): void;
}

interface Accumulator<Result> {
  /** Takes the output of a slice whose first sample is number `first` of the data set. */
  add(output: Float32Array, first: number): void;
  result(): Result;
}

/** Samples in a slice: a few milliseconds of work for the small models of MNIST. */
const sliceSize = 250;

/**
 * @param createPlan compiles the model for so many samples
 * @param accumulate begins the result of one evaluation
 */
export function createDatasetEvaluator<Result>(
  backend: Backend,
  model: Model,
  { images, labels }: LabeledSamples,
  createPlan: (backend: Backend, model: Model, samples: number, parameters: Storage) => LabeledPlan | PredictionPlan,
  accumulate: () => Accumulator<Result>,
): DatasetEvaluator<Result> {
  const parameters = backend.allocate(parameterCount(model));
  /** By the number of samples: that of a whole slice, and that of a shorter last one. */
  const plans = new Map<number, LabeledPlan | PredictionPlan>();
  const planFor = (samples: number): LabeledPlan | PredictionPlan => {
    const plan = plans.get(samples) ?? createPlan(backend, model, samples, parameters);
    plans.set(samples, plan);
    return plan;
  };
  const count = labels.length;
  const size = images.length / count;
  return {
    async evaluate(weights, pause) {
      backend.upload(parameters, weights);
      const accumulator = accumulate();
      for (let from = 0; from < count; from += sliceSize) {
        const to = Math.min(count, from + sliceSize);
        const plan = planFor(to - from);
        plan.run(images.subarray(from * size, to * size), labels.subarray(from, to));
        accumulator.add(await backend.download(plan.output), from);
        if (to < count) await pause();
      }
      return accumulator.result();
    },
    dispose() {
      for (const plan of plans.values()) plan.dispose();
      backend.free(parameters);
    },
  };
}
