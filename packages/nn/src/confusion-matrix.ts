/** Confusion matrix of a model on a data set, with its most confident errors. */
import type { Backend } from '@lockstep/tensor';
import { argmax, largestProbability } from './class-scores.ts';
import { createDatasetEvaluator, type DatasetEvaluator, type LabeledSamples } from './dataset-evaluator.ts';
import { type Model, outputCount } from './model.ts';
import { createPrediction } from './prediction-plan.ts';

interface TopError {
  /** Index of the sample in the data set. */
  readonly index: number;
  readonly label: number;
  readonly predicted: number;
  /** Probability of `predicted` according to the model, 0 to 1. */
  readonly probability: number;
}

/** Counts of true and predicted classes, and the top errors. */
export interface ConfusionMatrix {
  /**
   * Numbers of samples, [classes, classes]: one row for each true class, one column for each predicted class. Null for
   * more than `maxMatrixClasses` classes.
   */
  readonly counts: Float32Array | null;
  /** The wrong predictions with the highest probabilities, in descending order. */
  readonly topErrors: readonly TopError[];
}

/** Maximum number of classes for which a matrix is computed: it then takes 4 MB. */
const maxMatrixClasses = 1000;

/**
 * Creates an evaluator that computes the confusion matrix of a classifier on labeled samples.
 * @param topErrorCount maximum number of top errors
 * @throws Error if targets are values
 */
export function createConfusionEvaluator(
  backend: Backend,
  model: Model,
  data: LabeledSamples,
  topErrorCount: number,
): DatasetEvaluator<ConfusionMatrix> {
  const classes = outputCount(model);
  const { targets } = data;
  if (targets.type !== 'classes') throw new Error('confusion matrix: expected targets that are classes, got values');
  const { labels } = targets;
  return createDatasetEvaluator(backend, model, data, createPrediction, () => {
    const counts = classes > maxMatrixClasses ? null : new Float32Array(classes * classes);
    let topErrors: TopError[] = [];
    return {
      add(output, first) {
        for (let row = 0; row < output.length / classes; row++) {
          const scores = output.subarray(row * classes, (row + 1) * classes);
          const index = first + row;
          const label = labels[index]!;
          const predicted = argmax(scores);
          if (counts) counts[label * classes + predicted]! += 1;
          if (predicted === label) continue;
          const error = { index, label, predicted, probability: largestProbability(scores, predicted) };
          topErrors = [...topErrors, error].sort((a, b) => b.probability - a.probability).slice(0, topErrorCount);
        }
      },
      result: () => ({ counts, topErrors }),
    };
  });
}
