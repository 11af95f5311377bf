/** How a model reads each class of a data set, and where it is most sure and wrong. */
import type { Backend } from '@lockstep/tensor';
import { evaluationSlice, type LabeledSamples } from './evaluation.ts';
import { createPrediction, type PredictionPlan } from './gradient-plan.ts';
import { type Model, outputClasses } from './model.ts';
import { parameterCount } from './parameters.ts';

export interface TopError {
  /** Which sample of the data set. */
  readonly index: number;
  readonly label: number;
  readonly predicted: number;
  /** Of `predicted`, 0 to 1. */
  readonly probability: number;
}

export interface ConfusionMatrix {
  /** Counts, [classes, classes]: one row for each true class, one column for each predicted one. */
  readonly confusion: Float32Array;
  /** The surest first. */
  readonly topErrors: readonly TopError[];
}

export interface ConfusionEvaluator {
  /**
   * @param weights all parameters in model order; copied before the first pause
   * @param pause awaited between slices
   */
  evaluate(weights: Float32Array, pause: () => Promise<void>): Promise<ConfusionMatrix>;
  dispose(): void;
}

/** @param topErrorCount how many topErrors are kept */
export function createConfusionEvaluator(
  backend: Backend,
  model: Model,
  data: LabeledSamples,
  topErrorCount: number,
): ConfusionEvaluator {
  const parameters = backend.allocate(parameterCount(model));
  const plans = new Map<number, PredictionPlan>();
  const classes = outputClasses(model);
  const count = data.labels.length;
  const size = data.images.length / count;

  const planFor = (samples: number): PredictionPlan => {
    const plan = plans.get(samples) ?? createPrediction(backend, model, samples, parameters);
    plans.set(samples, plan);
    return plan;
  };

  return {
    async evaluate(weights, pause) {
      backend.upload(parameters, weights);
      const confusion = new Float32Array(classes * classes);
      let topErrors: TopError[] = [];
      for (let from = 0; from < count; from += evaluationSlice) {
        const to = Math.min(count, from + evaluationSlice);
        const plan = planFor(to - from);
        plan.run(data.images.subarray(from * size, to * size));
        const scores = await backend.download(plan.output);
        for (let index = from; index < to; index++) {
          const own = scores.subarray((index - from) * classes, (index - from + 1) * classes);
          const label = data.labels[index]!;
          const predicted = largest(own);
          confusion[label * classes + predicted]! += 1;
          if (predicted === label) continue;
          const error = { index, label, predicted, probability: probabilityOf(own, predicted) };
          topErrors = [...topErrors, error].sort((a, b) => b.probability - a.probability).slice(0, topErrorCount);
        }
        if (to < count) await pause();
      }
      return { confusion, topErrors };
    },
    dispose() {
      for (const plan of plans.values()) plan.dispose();
      backend.free(parameters);
    },
  };
}

/** Index of the largest score, the first of equals. A score that is not a number is never larger. */
function largest(scores: Float32Array): number {
  let best = 0;
  for (let index = 1; index < scores.length; index++) if (scores[index]! > scores[best]!) best = index;
  return best;
}

/** Softmax at one class; for people to look at, so that the engine's own exponential will do. */
function probabilityOf(scores: Float32Array, index: number): number {
  let sum = 0;
  for (const score of scores) sum += Math.exp(score - scores[index]!);
  return sum > 0 ? Math.min(1, 1 / sum) : 0;
}
