/** Evaluates a model on a data set: loss, accuracy or errors, the confusion matrix, and the worst samples. */

import { checkArguments, classField, type Dataset, type TargetField, targetWords } from '@lockstep/data';
import { type Backend, runTogether, type Storage, sum } from '@lockstep/tensor';
import { kinds } from './check.ts';
import { forward } from './forward.ts';
import { lossOf } from './losses.ts';
import {
  type Accumulator,
  type ClassificationMetrics,
  classificationMetrics,
  type Metrics,
  regressionMetrics,
  squaredDeviations,
  textMetrics,
} from './metrics.ts';
import { embeddingOf, inputSize, type Model, outputCount, parameterCount } from './model.ts';
import { createLabeledPlan, createPrediction, type LabeledPlan, type PredictionPlan } from './plans.ts';
import { rootMeanSquaredError } from './standardization.ts';

/** Mean loss and quality measures over labeled samples. */
export interface Evaluation {
  /** Mean over the samples, or over the predicted tokens. */
  readonly loss: number;
  /** Fraction of correct classes or next tokens, 0 to 1; null if targets are values or the loss is not finite. */
  readonly accuracy: number | null;
  /**
   * Explained fraction of the targets' variance, `1 - loss / variance` (scikit-learn's `r2_score`, variance-weighted);
   * null unless targets are values that vary.
   */
  readonly r2: number | null;
  /** Root mean squared error, in the unit of the original values; null unless targets are values. */
  readonly rmse: number | null;
  /** Omitted unless they were asked for; null if an output is not finite. */
  readonly metrics?: Metrics | null;
}

/** A measure by which one evaluation is better than another. */
export interface Monitor {
  /** Name for people. */
  readonly label: string;
  readonly better: 'lower' | 'higher';
  /** Role of the targets that have this measure; omitted if all have it. */
  readonly role?: TargetField['role'];
  /** Whether evaluations have the measure only if they have metrics. */
  readonly needsMetrics?: boolean;
  /** The measure, in the unit that people see; null or NaN if this evaluation has none. */
  of(evaluation: Evaluation): number | null;
}

/** A measure that is one of the metrics of a classifier. */
function classMeasure(
  label: string,
  better: Monitor['better'],
  of: (metrics: ClassificationMetrics) => number | null,
): Monitor {
  const read = ({ metrics }: Evaluation) => (metrics && 'classes' in metrics ? of(metrics) : null);
  return { label, better, role: 'index', needsMetrics: true, of: read };
}

const measures = {
  loss: { label: 'loss', better: 'lower', of: ({ loss }) => loss },
  accuracy: { label: 'accuracy', better: 'higher', role: 'index', of: ({ accuracy }) => accuracy },
  r2: { label: 'R²', better: 'higher', role: 'value', of: ({ r2 }) => r2 },
  rmse: { label: 'RMSE', better: 'lower', role: 'value', of: ({ rmse }) => rmse },
  f1: classMeasure('macro F1', 'higher', ({ macro }) => macro.f1),
  'balanced-accuracy': classMeasure('balanced accuracy', 'higher', ({ balancedAccuracy }) => balancedAccuracy),
  'roc-auc': classMeasure('ROC AUC', 'higher', ({ macro }) => macro.rocAuc),
  'pr-auc': classMeasure('PR AUC', 'higher', ({ macro }) => macro.prAuc),
  'log-loss': classMeasure('log loss', 'lower', ({ logLoss }) => logLoss),
  perplexity: {
    ...{ label: 'perplexity', better: 'lower', role: 'next', needsMetrics: true },
    of: ({ metrics }) => (metrics && 'perplexity' in metrics ? metrics.perplexity : null),
  },
  'bits-per-byte': {
    ...{ label: 'bits per byte', better: 'lower', role: 'next', needsMetrics: true },
    of: ({ metrics }) => (metrics && 'bitsPerByte' in metrics ? metrics.bitsPerByte : null),
  },
  mae: {
    ...{ label: 'MAE', better: 'lower', role: 'value', needsMetrics: true },
    of: ({ metrics }) => (metrics && 'outputs' in metrics ? metrics.mae : null),
  },
} satisfies Readonly<Record<string, Monitor>>;

/** The name of a measure in `monitors`. */
export type MonitorName = keyof typeof measures;

/** Measures that can choose the best epoch and stop a run, by their names in options and reports. */
export const monitors: Readonly<Record<MonitorName, Monitor>> = measures;

/** Evaluates weights on a fixed set of samples. */
export type Evaluator = DatasetEvaluator<Evaluation>;

/**
 * Creates an evaluator of `model` on `data`. It compiles its plans once, unless `memory` is given.
 * @param memory lends memory to each evaluation, which then compiles its plans again; by default, the evaluator's own
 */
export function createEvaluator(backend: Backend, model: Model, data: Dataset, memory?: WeightsMemory): Evaluator {
  checkArguments('createEvaluator', [kinds.backend, backend], [kinds.model, model], [kinds.dataset, data]);
  const { targets } = data;
  const variance = targets.role === 'value' ? targetVariance(targets.values, outputCount(model)) : 0;
  const names = Array.from({ length: outputCount(model) }, (_, output) => targets.names[output] ?? `${output}`);
  // The loss of a sample of tokens is divided by the training set's mean number of predictions, not by this set's.
  const positions = targets.role === 'next' ? targets.positions : 1;
  const predictions = predictionCount(data);
  const isText = targets.role === 'next';
  const textOf = () => ({ tokens: predictions, bytes: byteCount(data, targets.names) });
  const createPlan = (planBackend: Backend, planModel: Model, samples: number, parameters: Storage): LabeledPlan =>
    createEvaluation(planBackend, planModel, samples, parameters, targets, !isText);
  const accumulate = (hasMetrics: boolean): Accumulator<Evaluation> => {
    let [lossSum, correctCount] = [0, 0];
    const metrics =
      !hasMetrics || targets.role === 'next'
        ? undefined
        : targets.role === 'index'
          ? classificationMetrics(targets.values, names)
          : regressionMetrics(targets.values, names, targets.standardization?.deviation);
    return {
      add(output, first) {
        lossSum += output[0]!;
        correctCount += output[1]!;
        metrics?.add(output.subarray(2), first);
      },
      result() {
        const loss = (lossSum * positions) / predictions;
        const more = metrics && { metrics: metrics.result() };
        if (targets.role !== 'value') {
          // If scores are NaN, argmax returns the first NaN: an accuracy would be meaningless.
          const accuracy = Number.isFinite(loss) ? correctCount / predictions : null;
          const text = isText && hasMetrics && { metrics: textMetrics({ loss, accuracy, ...textOf() }) };
          return { loss, accuracy, r2: null, rmse: null, ...more, ...text };
        }
        const rmse = rootMeanSquaredError(loss, targets.standardization);
        return { loss, accuracy: null, r2: variance > 0 ? 1 - loss / variance : null, rmse, ...more };
      },
    };
  };
  return createDatasetEvaluator(backend, model, data, createPlan, accumulate, memory);
}

/** Returns the number of predictions in a loss: one for each sample, or for each next token. */
export function predictionCount(data: Dataset): number {
  checkArguments('predictionCount', [kinds.dataset, data]);
  return data.targets.role === 'next' ? sumOfPredicted(data) : data.count;
}

/** Adds a number for each token that a text model must predict. @param numbers by token; 1 by default */
function sumOfPredicted({ count, samples: { values }, targets }: Dataset, numbers?: readonly number[]): number {
  const size = values.length / count;
  const isOfLines = targets.role === 'next' && targets.lines === true;
  let sum = 0;
  for (let at = 1; at < values.length; at++) {
    const position = at % size;
    if (position === 0 || (isOfLines && position > 1 && values[at - 1] === 0)) continue;
    sum += numbers === undefined ? 1 : numbers[values[at]!]!;
  }
  return sum;
}

/** The name of a token that is no text: its bytes, as in `\xff`. */
const shownBytes = /^(?:\\x[0-9a-f]{2})+$/;

/** Returns the bytes of the predicted tokens' text, in UTF-8. */
function byteCount(data: Dataset, names: readonly string[]): number {
  const encoder = new TextEncoder();
  const lengths = names.map((name) => (shownBytes.test(name) ? name.length / 4 : encoder.encode(name).length));
  return sumOfPredicted(data, lengths);
}

/**
 * Compiles a plan that computes the loss and accuracy of a batch, without dropout.
 * `output` [2] holds the sum of the losses over `samples` samples and the number of correct ones; with `hasOutputs`,
 * the outputs [samples, outputs] follow.
 */
export function createEvaluation(
  backend: Backend,
  model: Model,
  samples: number,
  parameters: Storage,
  targetField: TargetField = classField,
  hasOutputs = false,
): LabeledPlan {
  checkArguments('createEvaluation', [kinds.backend, backend], [kinds.storage, parameters], [kinds.field, targetField]);
  const kind = lossOf(targetField);
  const options = { targetField, isRandom: false };
  return createLabeledPlan(backend, model, samples, parameters, options, (x, targets, tensors) => {
    const outputs = forward(model, x, tensors);
    const measured = [sum(kind.each(outputs, targets)), kind.correct(outputs, targets, {})];
    return hasOutputs ? [...measured, outputs] : measured;
  });
}

/** Returns the index of the largest score, the first if several are equal. NaN is never larger. */
export function largestScore(scores: Float32Array): number {
  checkArguments('largestScore', [kinds.numbers, scores]);
  let best = 0;
  for (let index = 0; index < scores.length; index++) {
    if (Number.isNaN(scores[index])) return index;
    if (scores[index]! > scores[best]!) best = index;
  }
  return best;
}

/** Softmax of the largest score, at `best`; only for display, because engines may round `Math.exp` differently. */
function largestProbability(scores: Float32Array, best: number): number {
  let sum = 0;
  for (const score of scores) sum += Math.exp(score - scores[best]!);
  return sum > 0 ? Math.min(1, 1 / sum) : 0;
}

/** Softmax of `scores` [classes]; only for display, like `largestProbability`. */
export function probabilitiesOf(scores: Float32Array): number[] {
  const best = largestScore(scores);
  const largest = largestProbability(scores, best);
  return Array.from(scores, (score) => Math.exp(score - scores[best]!) * largest);
}

/** A sample with its label and its prediction. */
interface ClassifiedSample {
  /** Index of the sample in the data set. */
  readonly index: number;
  readonly label: number;
  readonly predicted: number;
  /** Probability of `predicted` according to the model, 0 to 1. */
  readonly probability: number;
}

/** Counts of true and predicted classes, the top errors, and samples of each cell. */
export interface ConfusionMatrix {
  /**
   * Numbers of samples, [classes, classes]: one row for each true class, one column for each predicted class. Null for
   * more than `maxMatrixClasses` classes.
   */
  readonly counts: Float32Array | null;
  /** The wrong predictions with the highest probabilities, in descending order. */
  readonly topErrors: readonly ClassifiedSample[];
  /**
   * Some samples of each cell: the wrong ones with the highest probabilities, the right ones with the lowest. The first
   * of each cell come first, then the second of each cell, and so on.
   */
  readonly cellSamples: readonly ClassifiedSample[];
}

type Rank = (sample: ClassifiedSample) => number;

const leastProbable: Rank = ({ probability }) => probability;
const mostProbable: Rank = ({ probability }) => -probability;

/** Inserts a sample into a sorted list of at most `most` samples. Equal ones stay in the order of the data set. */
function insert(
  list: readonly ClassifiedSample[],
  sample: ClassifiedSample,
  rank: Rank,
  most: number,
): readonly ClassifiedSample[] {
  if (list.length === most && (most === 0 || rank(sample) >= rank(list.at(-1)!))) return list;
  return [...list, sample].sort((a, b) => rank(a) - rank(b)).slice(0, most);
}

/** Maximum number of classes for which a matrix is computed: it then takes 4 MB. */
const maxMatrixClasses = 1000;

/**
 * Creates an evaluator that computes the confusion matrix of a classifier on labeled samples.
 * @param topErrorCount maximum number of top errors
 * @param samplesPerCell maximum number of samples of each cell
 * @throws Error if targets are values
 */
export function createConfusionEvaluator(
  backend: Backend,
  model: Model,
  data: Dataset,
  topErrorCount: number,
  samplesPerCell = 0,
): DatasetEvaluator<ConfusionMatrix> {
  checkArguments('createConfusionEvaluator', [kinds.backend, backend], [kinds.model, model], [kinds.dataset, data]);
  const classes = outputCount(model);
  const { targets } = data;
  if (targets.role !== 'index') {
    throw new Error(`confusion matrix: expected targets that are classes, got ${targetWords[targets.role].many}`);
  }
  const { values: labels } = targets;
  return createDatasetEvaluator(backend, model, data, createPrediction, () => {
    const counts = classes > maxMatrixClasses ? null : new Float32Array(classes * classes);
    let topErrors: readonly ClassifiedSample[] = [];
    const cells = new Map<number, readonly ClassifiedSample[]>();
    return {
      add(output, first) {
        for (let row = 0; row < output.length / classes; row++) {
          const scores = output.subarray(row * classes, (row + 1) * classes);
          const index = first + row;
          const label = labels[index]!;
          const predicted = largestScore(scores);
          const cell = label * classes + predicted;
          if (counts) counts[cell]! += 1;
          if (predicted === label && samplesPerCell === 0) continue;
          const sample = { index, label, predicted, probability: largestProbability(scores, predicted) };
          if (samplesPerCell > 0) {
            const rank = predicted === label ? leastProbable : mostProbable;
            cells.set(cell, insert(cells.get(cell) ?? [], sample, rank, samplesPerCell));
          }
          if (predicted !== label) topErrors = insert(topErrors, sample, mostProbable, topErrorCount);
        }
      },
      result() {
        const ranked = [...cells.values()].flatMap((list) => list.map((sample, rank) => ({ sample, rank })));
        const cellSamples = ranked.sort((a, b) => a.rank - b.rank).map(({ sample }) => sample);
        return { counts, topErrors, cellSamples };
      },
    };
  });
}

/** A NaN is the largest error. */
function isLarger(error: number, other: number): boolean {
  return error > other || (Number.isNaN(error) && !Number.isNaN(other));
}

interface ValueError {
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
  data: Dataset,
  most: number,
): DatasetEvaluator<readonly ValueError[]> {
  checkArguments('createValueErrors', [kinds.backend, backend], [kinds.model, model], [kinds.dataset, data]);
  const size = outputCount(model);
  const { targets } = data;
  if (targets.role !== 'value') {
    throw new Error(`value errors: expected targets that are values, got ${targetWords[targets.role].many}`);
  }
  return createDatasetEvaluator(backend, model, data, createPrediction, () => {
    const largest: ValueError[] = [];
    return {
      add(output, first) {
        for (let row = 0; row < output.length / size; row++) {
          const index = first + row;
          const predicted = output.slice(row * size, (row + 1) * size);
          const target = targets.values.subarray(index * size, (index + 1) * size);
          const squaredError = target.reduce((sum, value, at) => sum + (value - predicted[at]!) ** 2, 0) / size;
          const rank = largest.findIndex((other) => isLarger(squaredError, other.squaredError));
          largest.splice(rank < 0 ? largest.length : rank, 0, { index, target, predicted, squaredError });
          largest.length = Math.min(most, largest.length);
        }
      },
      result: () => largest,
    };
  });
}

/** Returns the mean squared error of always predicting the means of `values` [count, columns]. */
function targetVariance(values: Float32Array, columns: number): number {
  return squaredDeviations(values, columns).reduce((sum, column) => sum + column, 0) / values.length;
}

/** Evaluates weights on a fixed set of samples, one slice at a time. */
export interface DatasetEvaluator<Result> {
  /**
   * @param weights all parameters in model order; copied before the first pause
   * @param pause awaited between slices
   * @param hasMetrics whether an `Evaluation` has metrics besides loss and accuracy, or errors; false by default
   */
  evaluate(weights: Float32Array, pause: () => Promise<void>, hasMetrics?: boolean): Promise<Result>;
  dispose(): void;
}

/** Maximum number of samples in a thread's slice: a few milliseconds of work for the small models of MNIST. */
const mostSliceSamples = 250;
/** Maximum of parameters times samples, or tokens, in a slice: about a tenth of a second of work for dense layers. */
const mostSliceWork = 2 ** 31;

/** Lends memory for weights, [parameters] or longer. */
export interface WeightsMemory {
  take(): Storage;
  give(memory: Storage): void;
}

/**
 * @param createPlan compiles the model for a number of samples
 * @param accumulate creates the accumulator of one evaluation
 * @param memory lends memory to each evaluation; by default the evaluator allocates its own, and keeps it
 */
function createDatasetEvaluator<Result>(
  backend: Backend,
  model: Model,
  data: Dataset,
  createPlan: (backend: Backend, model: Model, samples: number, parameters: Storage) => LabeledPlan | PredictionPlan,
  accumulate: (hasMetrics: boolean) => Accumulator<Result>,
  memory?: WeightsMemory,
): DatasetEvaluator<Result> {
  const { count } = data;
  const [samples, targets] = [data.samples.values, data.targets.values];
  const [size, targetSize] = [samples.length / count, targets.length / count];
  const { threads = 1 } = backend;
  const sliceSize = Math.max(1, Math.min(mostSliceSamples, Math.floor(mostSliceWork / evaluationWork(model))));
  const weightCount = parameterCount(model);
  let taken: Storage | undefined;
  /** Plans by thread and number of samples, which differs for the shorter last slice. */
  const plans = new Map<string, LabeledPlan | PredictionPlan>();
  const planFor = (thread: number, samples: number, parameters: Storage) => {
    const key = `${thread} ${samples}`;
    const plan = plans.get(key) ?? createPlan(backend, model, samples, parameters);
    plans.set(key, plan);
    return plan;
  };
  const release = (): void => {
    for (const plan of plans.values()) plan.dispose();
    plans.clear();
    if (taken) (memory?.give ?? backend.free.bind(backend))(taken);
    taken = undefined;
  };
  return {
    async evaluate(weights, pause, hasMetrics = false) {
      taken ??= memory?.take() ?? backend.allocate(weightCount);
      const parameters = taken.length === weightCount ? taken : backend.slice(taken, 0, weightCount);
      backend.upload(parameters, weights);
      const accumulator = accumulate(hasMetrics);
      try {
        for (let from = 0; from < count; from += threads * sliceSize) {
          const slices = Array.from({ length: threads }, (_, thread) => from + thread * sliceSize)
            .filter((first) => first < count)
            .map((first, thread) => {
              const to = Math.min(count, first + sliceSize);
              const plan = planFor(thread, to - first, parameters);
              const own = samples.subarray(first * size, to * size);
              const loading = plan.load(own, targets.subarray(first * targetSize, to * targetSize));
              return { first, output: plan.output, programs: [...loading, plan.into(plan.output)] };
            });
          runTogether(
            backend,
            slices.map(({ programs }) => programs),
          );
          for (const { first, output } of slices) accumulator.add(await backend.download(output), first);
          if (from + threads * sliceSize < count) await pause();
        }
      } finally {
        if (memory) release();
      }
      return accumulator.result();
    },
    dispose: release,
  };
}

/** Returns parameters times samples, or times tokens: about the multiplications of dense layers. */
export function evaluationWork(model: Model, samples = 1): number {
  checkArguments('evaluationWork', [kinds.model, model]);
  return parameterCount(model) * samples * (embeddingOf(model) ? inputSize(model) : 1);
}
