/** Metrics of a model's outputs on labeled samples, defined as in scikit-learn. */

/** Accumulates a result over the outputs of all samples, one slice at a time. */
export interface Accumulator<Result> {
  /** Takes the output of a slice whose first sample is number `first` of the data set; slices come in order. */
  add(output: Float32Array, first: number): void;
  result(): Result;
}

/** Metrics of one class against all others, or their means over the classes; each from 0 to 1. */
export interface ClassRates {
  /** Fraction of the samples predicted as the class that belong to it; 0 if there are none. */
  readonly precision: number;
  /** Fraction of the class's samples that are predicted as it; 0 if there are none. */
  readonly recall: number;
  /** Harmonic mean of precision and recall; 0 if both are. */
  readonly f1: number;
  /**
   * Area under the ROC curve of the class's softmax probability; null if all samples belong to the class, if none does,
   * or if samples times classes exceed 2^24.
   */
  readonly rocAuc: number | null;
  /** Average precision, the area under the precision-recall curve; null if `rocAuc` is, or no sample belongs to it. */
  readonly prAuc: number | null;
}

/** The names of the rates for people. */
export const rateNames: Readonly<Record<keyof ClassRates, string>> = {
  precision: 'precision',
  recall: 'recall',
  f1: 'F1',
  rocAuc: 'ROC AUC',
  prAuc: 'PR AUC',
};

/** All rates, in the order of a table. */
export const rates = Object.keys(rateNames) as (keyof ClassRates)[];

/** Metrics of one class. */
export interface ClassMetrics extends ClassRates {
  readonly name: string;
  /** Number of samples of the class. */
  readonly support: number;
}

/** Metrics of a classifier. */
export interface ClassificationMetrics {
  readonly accuracy: number;
  /** Mean recall of the classes that have samples. */
  readonly balancedAccuracy: number;
  /** Mean cross-entropy in nats, not weighted by class. */
  readonly logLoss: number;
  /** Means over the classes that have samples or predictions; areas over the classes that have one. */
  readonly macro: ClassRates;
  /** In the order of the outputs. */
  readonly classes: readonly ClassMetrics[];
}

/** Errors of one predicted value, or of all, in the unit of the original values. */
export interface OutputMetrics {
  /** Mean absolute error. */
  readonly mae: number;
  /** Root mean squared error. */
  readonly rmse: number;
  /** Explained fraction of the targets' variance; null if they do not vary. */
  readonly r2: number | null;
}

/** Metrics of a model of values: over all outputs, R² weighted by their variances, and of each output. */
export interface RegressionMetrics extends OutputMetrics {
  /** In the order of the outputs. */
  readonly outputs: readonly (OutputMetrics & { readonly name: string })[];
}

/** Metrics of a model that predicts the next token of a text. */
export interface TextMetrics {
  /** Tokens that were predicted, and the bytes of their text in UTF-8. */
  readonly tokens: number;
  readonly bytes: number;
  /** Mean cross-entropy of a token, in nats. */
  readonly loss: number;
  /** `exp(loss)`: the model is as uncertain as if it drew from this number of equally likely tokens. */
  readonly perplexity: number;
  /** Cross-entropy in bits for each byte of the text, which compares models with different vocabularies. */
  readonly bitsPerByte: number;
  /** Fraction of the tokens that had the highest score. */
  readonly accuracy: number;
}

/** Metrics of a model on labeled samples. */
export type Metrics = ClassificationMetrics | RegressionMetrics | TextMetrics;

/** @param loss mean cross-entropy of a token, in nats @returns null if the loss is not finite */
export function textMetrics({ loss, accuracy, tokens, bytes }: TextSums): TextMetrics | null {
  if (!Number.isFinite(loss) || accuracy === null) return null;
  const bitsPerByte = ((loss / Math.LN2) * tokens) / bytes;
  return { tokens, bytes, loss, perplexity: Math.exp(loss), bitsPerByte, accuracy };
}

type TextSums = Pick<TextMetrics, 'loss' | 'tokens' | 'bytes'> & { readonly accuracy: number | null };

/** Most scores that are kept to rank the samples: 64 MiB. */
const maxKeptScores = 2 ** 24;

/**
 * Measures class scores [count, classes], given slice by slice.
 * The result is null if a score is not finite.
 * @param labels [count]
 * @param names of the classes
 * @param maxScores largest number of samples times classes for which samples are ranked
 */
export function classificationMetrics(
  labels: Uint16Array,
  names: readonly string[],
  maxScores = maxKeptScores,
): Accumulator<ClassificationMetrics | null> {
  const [count, classes] = [labels.length, names.length];
  const scores = count * classes <= maxScores ? new Float32Array(count * classes) : undefined;
  /** Largest score of each sample, and the sum of `exp(score - largest)`: the softmax of all its scores. */
  const largest = new Float64Array(scores ? count : 0);
  const total = new Float64Array(largest.length);
  const support = new Float64Array(classes);
  const predicted = new Float64Array(classes);
  const correct = new Float64Array(classes);
  let logLossSum = 0;
  return {
    add(output, first) {
      scores?.set(output, first * classes);
      for (let from = 0, sample = first; from < output.length; from += classes, sample++) {
        const label = labels[sample]!;
        let best = 0;
        for (let at = 1; at < classes; at++) if (output[from + at]! > output[from + best]!) best = at;
        const top = output[from + best]!;
        let sum = 0;
        for (let at = 0; at < classes; at++) sum += Math.exp(output[from + at]! - top);
        logLossSum += Math.log(sum) - (output[from + label]! - top);
        support[label]! += 1;
        predicted[best]! += 1;
        if (best === label) correct[label]! += 1;
        if (!scores) continue;
        largest[sample] = top;
        total[sample] = sum;
      }
    },
    result() {
      if (!Number.isFinite(logLossSum)) return null;
      const probability = (sample: number, at: number): number =>
        Math.exp(scores![sample * classes + at]! - largest[sample]!) / total[sample]!;
      const measured = names.map((name, at): ClassMetrics => {
        const areas = scores ? areasOf(labels, at, support[at]!, (sample) => probability(sample, at)) : noAreas;
        return { name, support: support[at]!, ...ratesOf(correct[at]!, predicted[at]!, support[at]!), ...areas };
      });
      return {
        accuracy: sumOf(correct) / count,
        balancedAccuracy: meanOf(measured.filter((own) => own.support > 0).map(({ recall }) => recall))!,
        logLoss: logLossSum / count,
        macro: macroOf(measured.filter((own, at) => own.support + predicted[at]! > 0)),
        classes: measured,
      };
    },
  };
}

function ratesOf(correct: number, predicted: number, support: number) {
  return {
    precision: predicted === 0 ? 0 : correct / predicted,
    recall: support === 0 ? 0 : correct / support,
    f1: correct === 0 ? 0 : (2 * correct) / (predicted + support),
  };
}

function macroOf(classes: readonly ClassRates[]): ClassRates {
  const means = rates.map((rate) => [rate, meanOf(classes.map((own) => own[rate]).filter((value) => value !== null))]);
  return Object.fromEntries(means);
}

type Areas = Pick<ClassRates, 'rocAuc' | 'prAuc'>;

const noAreas: Areas = { rocAuc: null, prAuc: null };

/** Areas under the curves of class `at` against all others, ranked by probability; equal ones are one threshold. */
function areasOf(labels: Uint16Array, at: number, support: number, probability: (sample: number) => number): Areas {
  if (support === 0) return noAreas;
  const others = labels.length - support;
  const [own, rest] = [new Float64Array(support), new Float64Array(others)];
  let [ownCount, restCount] = [0, 0];
  for (const [sample, label] of labels.entries()) {
    if (label === at) own[ownCount++] = probability(sample);
    else rest[restCount++] = probability(sample);
  }
  own.sort();
  rest.sort();
  // From the highest threshold down: the samples at or above it, and the pairs ranked correctly; a tie is half a pair.
  let [precisionSum, pairs, ownLeft, restLeft] = [0, 0, support, others];
  while (ownLeft > 0) {
    const threshold = own[ownLeft - 1]!;
    const ownBefore = ownLeft;
    while (restLeft > 0 && rest[restLeft - 1]! > threshold) restLeft -= 1;
    const restBelow = restLeft;
    while (ownLeft > 0 && own[ownLeft - 1] === threshold) ownLeft -= 1;
    while (restLeft > 0 && rest[restLeft - 1] === threshold) restLeft -= 1;
    const [found, wrong] = [support - ownLeft, others - restLeft];
    precisionSum += ((ownBefore - ownLeft) * found) / (found + wrong);
    pairs += ((ownBefore - ownLeft) * (restBelow + restLeft)) / 2;
  }
  return { rocAuc: others === 0 ? null : pairs / (support * others), prAuc: precisionSum / support };
}

/**
 * Measures predicted values [count, values], given slice by slice.
 * The result is null if a prediction is not finite.
 * @param targets [count, values]
 * @param names of the values
 * @param deviation by which both were divided when they were standardized; 1 if they are as given
 */
export function regressionMetrics(
  targets: Float32Array,
  names: readonly string[],
  deviation = 1,
): Accumulator<RegressionMetrics | null> {
  const columns = names.length;
  const count = targets.length / columns;
  const absolute = new Float64Array(columns);
  const squared = new Float64Array(columns);
  return {
    add(output, first) {
      for (const [at, value] of output.entries()) {
        const difference = value - targets[first * columns + at]!;
        absolute[at % columns]! += Math.abs(difference);
        squared[at % columns]! += difference * difference;
      }
    },
    result() {
      if (!Number.isFinite(sumOf(squared))) return null;
      const spread = squaredDeviations(targets, columns);
      const errorsOf = (absoluteSum: number, squaredSum: number, spreadSum: number, values: number): OutputMetrics => ({
        mae: (deviation * absoluteSum) / values,
        rmse: deviation * Math.sqrt(squaredSum / values),
        r2: spreadSum > 0 ? 1 - squaredSum / spreadSum : null,
      });
      return {
        ...errorsOf(sumOf(absolute), sumOf(squared), sumOf(spread), targets.length),
        outputs: names.map((name, at) => ({ name, ...errorsOf(absolute[at]!, squared[at]!, spread[at]!, count) })),
      };
    },
  };
}

/** Returns `sum((value - mean)^2)` of each column of `values` [count, columns]. */
export function squaredDeviations(values: Float32Array, columns: number): Float64Array {
  const count = values.length / columns;
  return Float64Array.from({ length: columns }, (_, column) => {
    let [mean, sum] = [0, 0];
    for (let at = column; at < values.length; at += columns) mean += values[at]! / count;
    for (let at = column; at < values.length; at += columns) sum += (values[at]! - mean) ** 2;
    return sum;
  });
}

function sumOf(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0);
}

/** Null if there are no values. */
function meanOf(values: readonly number[]): number | null {
  return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
}
