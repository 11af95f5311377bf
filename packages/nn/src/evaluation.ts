/** Evaluation of a model on a data set: loss, and accuracy or R². */
import { type Backend, type Storage, sum } from '@lockstep/tensor';
import {
  type Accumulator,
  createDatasetEvaluator,
  type DatasetEvaluator,
  type LabeledSamples,
  type WeightsMemory,
} from './dataset-evaluator.ts';
import { forward } from './forward.ts';
import { createLabeledPlan, type LabeledPlan } from './labeled-plan.ts';
import { losses, type TargetType } from './losses.ts';
import { type Model, outputCount } from './model.ts';
import { rootMeanSquaredError } from './standardization.ts';
import { targetVariance } from './target-variance.ts';

/** Mean loss and quality measures over labeled samples. */
export interface Evaluation {
  /** Mean over the samples. */
  readonly loss: number;
  /** Fraction of correctly classified samples, 0 to 1; null if targets are values or the loss is not finite. */
  readonly accuracy: number | null;
  /**
   * Explained fraction of the targets' variance, `1 - loss / variance` (scikit-learn's `r2_score`, variance-weighted);
   * null if targets are classes, or do not vary.
   */
  readonly r2: number | null;
  /** Root mean squared error, in the unit of the original values; null if targets are classes. */
  readonly rmse: number | null;
}

/** Evaluates weights on a fixed set of samples. */
export type Evaluator = DatasetEvaluator<Evaluation>;

/**
 * Creates an evaluator of `model` on `data`. It compiles its plans once, unless `memory` is given.
 * @param memory lends memory to each evaluation, which then compiles its plans again; by default, the evaluator's own
 */
export function createEvaluator(
  backend: Backend,
  model: Model,
  data: LabeledSamples,
  memory?: WeightsMemory,
): Evaluator {
  const { count, targets } = data;
  const variance = targets.type === 'values' ? targetVariance(targets.values, outputCount(model)) : 0;
  const createPlan = (planBackend: Backend, planModel: Model, samples: number, parameters: Storage): LabeledPlan =>
    createEvaluation(planBackend, planModel, samples, parameters, targets.type);
  const accumulate = (): Accumulator<Evaluation> => {
    let [lossSum, correctCount] = [0, 0];
    return {
      add(output) {
        lossSum += output[0]!;
        correctCount += output[1]!;
      },
      result() {
        const loss = lossSum / count;
        if (targets.type === 'classes') {
          // If scores are NaN, argmax returns the first class: an accuracy would be meaningless.
          return { loss, accuracy: Number.isFinite(loss) ? correctCount / count : null, r2: null, rmse: null };
        }
        const rmse = rootMeanSquaredError(loss, targets.standardization);
        return { loss, accuracy: null, r2: variance > 0 ? 1 - loss / variance : null, rmse };
      },
    };
  };
  return createDatasetEvaluator(backend, model, data, createPlan, accumulate, memory);
}

/**
 * Compiles a plan that computes the loss and accuracy of a batch, without dropout.
 * `output` [2] holds the sum of the losses over `samples` samples and the number of correct ones.
 */
export function createEvaluation(
  backend: Backend,
  model: Model,
  samples: number,
  parameters: Storage,
  targetType: TargetType = 'classes',
): LabeledPlan {
  const kind = losses[targetType];
  const options = { targetType, isRandom: false };
  return createLabeledPlan(backend, model, samples, parameters, options, (x, targets, tensors) => {
    const outputs = forward(model, x, tensors);
    return [sum(kind.each(outputs, targets)), kind.correct(outputs, targets, {})];
  });
}
