/** Loss and accuracy of a model on a data set. */
import { type Backend, correct, type Storage, softmaxCrossEntropy, sum } from '@lockstep/tensor';
import { createDatasetEvaluator, type DatasetEvaluator, type LabeledSamples } from './dataset-evaluator.ts';
import { forward } from './forward.ts';
import { createLabeledPlan, type LabeledPlan } from './labeled-plan.ts';
import type { Model } from './model.ts';

export interface Evaluation {
  /** Mean over the samples. */
  readonly loss: number;
  /** Fraction of samples whose class was right, 0 to 1. */
  readonly accuracy: number;
}

export type Evaluator = DatasetEvaluator<Evaluation>;

export function createEvaluator(backend: Backend, model: Model, data: LabeledSamples): Evaluator {
  return createDatasetEvaluator(backend, model, data, createEvaluation, () => {
    let [lossSum, correctCount] = [0, 0];
    return {
      add(output) {
        lossSum += output[0]!;
        correctCount += output[1]!;
      },
      result: () => ({ loss: lossSum / data.labels.length, accuracy: correctCount / data.labels.length }),
    };
  });
}

/** `output` [2] holds the sum of the losses over `samples` samples and how many were correct; nothing is dropped. */
export function createEvaluation(backend: Backend, model: Model, samples: number, parameters: Storage): LabeledPlan {
  return createLabeledPlan(backend, model, samples, parameters, { isRandom: false }, (x, labels, tensors) => {
    const logits = forward(model, x, tensors);
    return [sum(softmaxCrossEntropy(logits, labels)), sum(correct(logits, labels))];
  });
}
