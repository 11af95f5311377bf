/** Exhibits of one sample in a network: its gradient, its prediction and its probabilities. */
import { restoreValues, type Standardization } from '@lockstep/nn';
import type { Exhibit } from '../exhibit.ts';
import { decimal, percent, shapeText, significant, thousands } from '../number-text.ts';
import type { SampleTrace } from './sample-trace.ts';

/** Shows the norm of the gradient for each parameter tensor, and how many of its elements are 0. */
export function gradientTable({ layers }: SampleTrace): Exhibit {
  const rows = layers.flatMap(({ type, parameters }) =>
    parameters.map(({ name, shape, size, norm, zeros }) => [
      `${type}, ${name}`,
      shapeText(shape),
      decimal(norm, 4),
      `${thousands(zeros)} of ${thousands(size)}`,
      percent(zeros / size),
    ]),
  );
  return {
    kind: 'table',
    caption: 'The gradient by the parameters',
    header: ['layer', 'shape', 'norm', 'zeros', 'share'],
    rows,
  };
}

/** Maximum rows of a table over outputs, of which there may be thousands. */
const mostRows = 20;

/** Shows the prediction next to the target, in the unit of the values, for a sample whose target is values. */
export function predictionTable(
  { layers, target }: SampleTrace,
  names: readonly string[],
  standardization: Standardization | undefined,
): Exhibit {
  const [predicted, right] = [layers.at(-1)!.values, target as Float32Array].map((values) =>
    restoreValues(values, standardization),
  ) as [Float32Array, Float32Array];
  const rows = Array.from(right, (value, index) => [
    names[index] ?? `${index}`,
    ...[predicted[index]!, value, predicted[index]! - value].map((number) => significant(number)),
  ]);
  return {
    kind: 'table',
    caption: 'The prediction against the target',
    header: ['value', 'prediction', 'target', 'off by'],
    rows: rows.slice(0, mostRows),
  };
}

/** Shows outputs, such as logits, as bars. */
export function outputBars(caption: string, values: ArrayLike<number>, names: readonly string[]): Exhibit {
  const bars = Array.from(values, (value, index) => ({
    label: names[index] ?? `${index}`,
    value,
    text: decimal(value, 2),
  }));
  return { kind: 'bars', caption, bars };
}

/** Number of classes shown one by one if not all fit in a table. */
const mostProbabilities = 10;

/** Shows the probability of each class; if there are many, only of the most likely ones, and the sum of the others. */
export function probabilityBars(values: readonly number[], names: readonly string[]): Exhibit {
  const all = values.map((value, index) => ({ label: names[index] ?? `${index}`, value, text: percent(value) }));
  const caption = 'The softmax, whose sum is 1';
  if (all.length <= mostRows) return { kind: 'bars', caption, areProbabilities: true, bars: all };
  const likeliest = all.toSorted((left, right) => right.value - left.value);
  const value = likeliest.slice(mostProbabilities).reduce((sum, bar) => sum + bar.value, 0);
  const others = { label: `${thousands(all.length - mostProbabilities)} others`, value, text: percent(value) };
  const bars = [...likeliest.slice(0, mostProbabilities), others];
  return { kind: 'bars', caption, areProbabilities: true, bars };
}
