/** The samples of a data set on which a model's predicted values are most wrong. */
import type { Backend } from '@lockstep/tensor';
import { createDatasetEvaluator, type DatasetEvaluator, type LabeledSamples } from './dataset-evaluator.ts';
import { type Model, outputCount } from './model.ts';
import { createPrediction } from './prediction-plan.ts';

export interface ValueError {
  /** Index of the sample in the data set. */
  readonly index: number;
  /** [outputs], as is `predicted`. */
  readonly target: Float32Array;
  readonly predicted: Float32Array;
  /** Mean over the outputs. */
  readonly squaredError: number;
}

/**
 * Creates an evaluator that finds the `most` samples with the largest squared errors, largest first.
 * @throws Error if targets are classes
 */
export function createValueErrors(
  backend: Backend,
  model: Model,
  data: LabeledSamples,
  most: number,
): DatasetEvaluator<readonly ValueError[]> {
  const size = outputCount(model);
  const { targets } = data;
  if (targets.type !== 'values') throw new Error('value errors: expected targets that are values, got classes');
  return createDatasetEvaluator(backend, model, data, createPrediction, () => {
    let largest: ValueError[] = [];
    return {
      add(output, first) {
        for (let row = 0; row < output.length / size; row++) {
          const index = first + row;
          const predicted = output.slice(row * size, (row + 1) * size);
          const target = targets.values.subarray(index * size, (index + 1) * size);
          const squaredError = target.reduce((sum, value, at) => sum + (value - predicted[at]!) ** 2, 0) / size;
          if (largest.length === most && !(squaredError > (largest.at(-1)?.squaredError ?? 0))) continue;
          const error = { index, target, predicted, squaredError };
          largest = [...largest, error].sort((a, b) => b.squaredError - a.squaredError).slice(0, most);
        }
      },
      result: () => largest,
    };
  });
}
