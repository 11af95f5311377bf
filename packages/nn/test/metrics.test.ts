/** Metrics and weighted losses compared with scikit-learn and NumPy (`goldens/make_metrics_goldens.py`). */
import { readFileSync } from 'node:fs';
import { classField } from '@lockstep/data';
import { expect, test } from 'vitest';
import { createMicrobatchGradient, createShardGradient, type LabeledPlan, parseModel } from '../src/index.ts';
import { classificationMetrics, regressionMetrics } from '../src/metrics.ts';
import { backends } from './backends.ts';

type Rows = readonly (readonly number[])[];

interface Goldens {
  readonly classification: Readonly<Record<string, { scores: Rows; labels: number[]; expected: object }>>;
  readonly regression: Readonly<
    Record<string, { targets: Rows; predicted: Rows; deviation: number; expected: object }>
  >;
  readonly weightedLoss: {
    readonly scores: Rows;
    readonly labels: number[];
    readonly balanced: number[];
    readonly lossSum: number;
    readonly scoresGradient: Rows;
  };
}

const goldens: Goldens = JSON.parse(readFileSync(new URL('../goldens/metrics.json', import.meta.url), 'utf8'));

const flat = (rows: Rows): Float32Array => Float32Array.from(rows.flat());

const namesOf = ([row]: Rows): string[] => row!.map((_, at) => `output ${at}`);

/** The same values, each number to 9 decimals. */
function rounded(value: unknown): unknown {
  if (typeof value === 'number') return Number(value.toFixed(9));
  if (Array.isArray(value)) return value.map(rounded);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, entry]) => [name, rounded(entry)]));
}

test.each(Object.entries(goldens.classification))('%s are measured as by scikit-learn, in slices', (_, golden) => {
  const { scores, labels, expected } = golden;
  const measured = classificationMetrics(Uint16Array.from(labels), namesOf(scores));
  for (let first = 0; first < scores.length; first += 7) measured.add(flat(scores.slice(first, first + 7)), first);
  expect(rounded(measured.result())).toEqual(rounded(expected));
});

test.each(Object.entries(goldens.regression))('%s is measured as by scikit-learn, in slices', (_, golden) => {
  const { targets, predicted, deviation, expected } = golden;
  const measured = regressionMetrics(flat(targets), namesOf(targets), deviation);
  for (let first = 0; first < targets.length; first += 7) measured.add(flat(predicted.slice(first, first + 7)), first);
  expect(rounded(measured.result())).toEqual(rounded(expected));
});

test('too many scores to keep leave out the areas alone', () => {
  const { scores, labels } = goldens.classification['several classes with ties']!;
  const [kept, counted] = [undefined, 239].map((most) => {
    const measured = classificationMetrics(Uint16Array.from(labels), namesOf(scores), most);
    measured.add(flat(scores), 0);
    return measured.result()!;
  });
  const withoutAreas = { rocAuc: null, prAuc: null };
  expect(counted).toEqual({
    ...kept!,
    macro: { ...kept!.macro, ...withoutAreas },
    classes: kept!.classes.map((own) => ({ ...own, ...withoutAreas })),
  });
});

test('outputs that are not finite have no metrics', () => {
  const scores = classificationMetrics(Uint16Array.of(0, 1), ['a', 'b']);
  scores.add(Float32Array.of(1, 2, Number.NaN, 0), 0);
  expect(scores.result()).toBeNull();
  const values = regressionMetrics(Float32Array.of(1, 2), ['a']);
  values.add(Float32Array.of(1, Number.POSITIVE_INFINITY), 0);
  expect(values.result()).toBeNull();
});

test.each(backends)('losses are weighted by class, in one sum and in microbatches, on $name', async ({ open }) => {
  const { scores, labels, balanced, lossSum, scoresGradient } = goldens.weightedLoss;
  const backend = await open();
  // Weights of an identity, so that the samples are the scores.
  const model = parseModel({ name: 'identity', input: [3], layers: [{ type: 'dense', units: 3 }] });
  const parameters = backend.allocate(12);
  backend.upload(parameters, Float32Array.of(1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0));
  const column = (at: number): number[] => scoresGradient.map((row) => row[at]!);
  const sumOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);
  const kernel = [0, 1, 2].flatMap((input) =>
    [0, 1, 2].map((output) => sumOf(column(output).map((value, sample) => value * scores[sample]![input]!))),
  );
  const bias = [0, 1, 2].map((output) => sumOf(column(output)));
  const options = { targetField: { ...classField, classWeights: balanced } };
  const plans: LabeledPlan[] = [createMicrobatchGradient(backend, model, 9, parameters, options)];
  if (backend.microbatchSums) {
    plans.push(createShardGradient(backend, model, { microbatches: 3, microbatchSize: 3 }, parameters, options));
  }
  for (const plan of plans) {
    plan.run(flat(scores), Uint16Array.from(labels));
    const output = [...backend.view(plan.output)];
    for (const [at, value] of [...kernel, ...bias, lossSum].entries()) expect(output[at]).toBeCloseTo(value, 4);
    plan.dispose();
  }
});
