/** Loss and accuracy of a model on a data set. */
import { type Backend, correct, type Storage, softmaxCrossEntropy, sum } from '@lockstep/tensor';
import { DatasetSlices, type LabeledSamples } from './dataset-slices.ts';
import { forward } from './forward.ts';
import { createLabeledPlan, type LabeledPlan } from './labeled-plan.ts';
import type { Model } from './model.ts';

export interface Evaluation {
  /** Mean over the samples. */
  readonly loss: number;
  /** Fraction of samples whose class was right, 0 to 1. */
  readonly accuracy: number;
}

export interface Evaluator {
  /**
   * @param weights all parameters in model order; copied before the first pause
   * @param pause awaited between slices
   */
  evaluate(weights: Float32Array, pause: () => Promise<void>): Promise<Evaluation>;
  dispose(): void;
}

export function createEvaluator(backend: Backend, model: Model, data: LabeledSamples): Evaluator {
  const slices = new DatasetSlices(backend, model, data, createEvaluation);
  const count = data.labels.length;
  return {
    async evaluate(weights, pause) {
      let [lossSum, correctCount] = [0, 0];
      await slices.run(weights, pause, (output) => {
        lossSum += output[0]!;
        correctCount += output[1]!;
      });
      return { loss: lossSum / count, accuracy: correctCount / count };
    },
    dispose: () => slices.dispose(),
  };
}

/** `output` [2] holds the sum of the losses over `samples` samples and how many were correct; nothing is dropped. */
export function createEvaluation(backend: Backend, model: Model, samples: number, parameters: Storage): LabeledPlan {
  return createLabeledPlan(backend, model, samples, parameters, false, (x, labels, tensors) => {
    const logits = forward(model, x, tensors);
    return [sum(softmaxCrossEntropy(logits, labels)), sum(correct(logits, labels))];
  });
}
