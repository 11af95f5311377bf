/** The classes of a data set that a model confuses, with its most confident errors. */
import type { Backend } from '@lockstep/tensor';
import { argmax, largestProbability } from './class-scores.ts';
import { createDatasetEvaluator, type DatasetEvaluator, type LabeledSamples } from './dataset-evaluator.ts';
import { type Model, outputCount } from './model.ts';
import { createPrediction } from './prediction-plan.ts';

interface TopError {
  /** Which sample of the data set. */
  readonly index: number;
  readonly label: number;
  readonly predicted: number;
  /** What the model gives `predicted`, 0 to 1. */
  readonly probability: number;
}

/** Which classes a model takes for which, and its top errors. */
export interface ConfusionMatrix {
  /**
   * Samples by class, [classes, classes]: one row for each true class, one column for each predicted one. Null where there
   * are more than `maxMatrixClasses`.
   */
  readonly counts: Float32Array | null;
  /** The wrong predictions of the highest probability, in falling order. */
  readonly topErrors: readonly TopError[];
}

/** Most classes that a matrix is made of: 4 MB. */
const maxMatrixClasses = 1000;

/**
 * Counts what a model of classes predicts for labeled samples.
 * @param topErrorCount how many top errors a matrix comes with
 * @throws Error where targets are values
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
