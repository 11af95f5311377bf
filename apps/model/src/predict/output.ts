/** Predictions as lines of text, or as JSON. */
import { percent, shownLine, significant } from '@lockstep/command';
import type { Prediction } from '@lockstep/train';
import type { Sample } from './sample.ts';

const nameLength = 60;

export interface Result {
  readonly sample: Sample;
  readonly prediction: Prediction;
}

interface Ranked {
  readonly class: string;
  readonly probability: number;
}

/** For each file: how it was read, its class, then the next most probable ones. */
export function predictionText(results: readonly Result[], classes: readonly string[], top: number): string {
  const lines = results.flatMap(({ sample, prediction }) => {
    const [first, ...others] = ranked(prediction, classes, top).map(
      (one) => `${shownLine(one.class, nameLength)} ${percent(one.probability)}`,
    );
    const next = others.length === 0 ? '' : `, then ${others.join(', ')}`;
    return [...readingLines(sample), `${shownLine(sample.file)}: ${first}${next}`];
  });
  return `${lines.join('\n')}\n`;
}

/** A list with one object per file; `scores` are the logits, in the order of the classes. */
export function predictionJson(results: readonly Result[], classes: readonly string[], top: number): string {
  const list = results.map(({ sample, prediction }) => ({
    file: sample.file,
    reading: sample.reading,
    class: prediction.class,
    index: prediction.index,
    probability: prediction.probability,
    top: ranked(prediction, classes, top),
    scores: [...prediction.scores],
  }));
  return `${JSON.stringify(list, undefined, 2)}\n`;
}

/** Most probable first; ties keep the order of the classes. */
function ranked({ probabilities }: Prediction, classes: readonly string[], top: number): Ranked[] {
  return classes
    .map((name, index) => ({ class: name, probability: probabilities[index]! }))
    .sort((a, b) => b.probability - a.probability)
    .slice(0, top);
}

export interface ValueResult {
  readonly sample: Sample;
  /** The predicted values, in the order of their names. */
  readonly values: Float32Array;
}

/** For each file: how it was read, then the predicted values by name. */
export function valuesText(results: readonly ValueResult[], names: readonly string[]): string {
  const lines = results.flatMap(({ sample, values }) => {
    const named = names.map((name, index) => `${shownLine(name, nameLength)} ${significant(values[index]!)}`);
    return [...readingLines(sample), `${shownLine(sample.file)}: ${named.join(', ')}`];
  });
  return `${lines.join('\n')}\n`;
}

/** A list with one object per file. */
export function valuesJson(results: readonly ValueResult[], names: readonly string[]): string {
  const list = results.map(({ sample, values }) => ({
    file: sample.file,
    reading: sample.reading,
    values: Object.fromEntries(names.map((name, index) => [name, values[index]!])),
  }));
  return `${JSON.stringify(list, undefined, 2)}\n`;
}

function readingLines({ file, reading }: Sample): string[] {
  return reading === undefined ? [] : [`${shownLine(file)}: ${reading}`];
}
