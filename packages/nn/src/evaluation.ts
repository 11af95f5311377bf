/** Loss and accuracy of a model on a data set, in slices, so that a thread that does more than this stays responsive. */
import type { Backend } from '@lockstep/tensor';
import { createEvaluation, type LabeledPlan } from './gradient-plan.ts';
import type { Model } from './model.ts';
import { parameterCount } from './parameters.ts';

export interface Evaluation {
  /** Mean over the samples. */
  readonly loss: number;
  /** Share of samples whose class was right, 0 to 1. */
  readonly accuracy: number;
}

export interface LabeledSamples {
  /** u8, one sample after another. */
  readonly images: Uint8Array;
  readonly labels: Uint8Array;
}

export interface Evaluator {
  /**
   * @param weights all parameters in model order; copied before the first pause
   * @param pause awaited between slices
   */
  evaluate(weights: Float32Array, pause: () => Promise<void>): Promise<Evaluation>;
  dispose(): void;
}

/** Samples in a slice: a few milliseconds of work for the small models of MNIST. */
export const evaluationSlice = 250;

export function createEvaluator(backend: Backend, model: Model, data: LabeledSamples): Evaluator {
  const parameters = backend.allocate(parameterCount(model));
  const plans = new Map<number, LabeledPlan>();
  const count = data.labels.length;
  const size = data.images.length / count;

  const planFor = (samples: number): LabeledPlan => {
    const plan = plans.get(samples) ?? createEvaluation(backend, model, samples, parameters);
    plans.set(samples, plan);
    return plan;
  };

  return {
    async evaluate(weights, pause) {
      backend.upload(parameters, weights);
      let lossSum = 0;
      let correct = 0;
      for (let from = 0; from < count; from += evaluationSlice) {
        const to = Math.min(count, from + evaluationSlice);
        const plan = planFor(to - from);
        plan.run(data.images.subarray(from * size, to * size), data.labels.subarray(from, to));
        const values = await backend.download(plan.output);
        lossSum += values[0]!;
        correct += values[1]!;
        if (to < count) await pause();
      }
      return { loss: lossSum / count, accuracy: correct / count };
    },
    dispose() {
      for (const plan of plans.values()) plan.dispose();
      backend.free(parameters);
    },
  };
}
