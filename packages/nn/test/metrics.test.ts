/** Metrics compared with scikit-learn's (`goldens/make_metrics_goldens.py`). */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { classificationMetrics, regressionMetrics } from '../src/metrics.ts';

type Rows = readonly (readonly number[])[];

interface Goldens {
  readonly classification: Readonly<Record<string, { scores: Rows; labels: number[]; expected: object }>>;
  readonly regression: Readonly<
    Record<string, { targets: Rows; predicted: Rows; deviation: number; expected: object }>
  >;
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
