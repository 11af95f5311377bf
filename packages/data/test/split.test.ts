import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DataError } from '../src/data-error.ts';
import { classTargets, type Dataset, samplesOf, valueTargets } from '../src/dataset.ts';
import { foldDataset, splitDataset, splitIndices } from '../src/order.ts';

function labeled(labels: readonly number[]): Dataset {
  const names = Array.from({ length: Math.max(...labels) + 1 }, (_, index) => `class ${index}`);
  return {
    samples: samplesOf(
      Float32Array.from(labels, (_, index) => index),
      [1],
    ),
    count: labels.length,
    targets: classTargets(Uint16Array.from(labels), names),
  };
}

const manyLabels = fc.array(fc.nat(4), { minLength: 2, maxLength: 200 }).filter((labels) => {
  return new Set(labels).size < labels.length;
});
const settings = fc.record({
  seed: fc.nat(2 ** 32 - 1),
  testFraction: fc.double({ min: 0.01, max: 0.99, noNaN: true }),
});

const labelsOf = ({ targets }: Dataset): number[] => (targets.role === 'index' ? [...targets.values] : []);

describe('the split of a data set', () => {
  it('has each sample once, with its label, in the same order each time', () => {
    fc.assert(
      fc.property(manyLabels, settings, (labels, options) => {
        const { train, test } = splitDataset(labeled(labels), options);
        const samples = [...train.samples.values, ...test.samples.values];
        expect(samples.toSorted((a, b) => a - b)).toEqual(labels.map((_, index) => index));
        expect([...labelsOf(train), ...labelsOf(test)]).toEqual(samples.map((sample) => labels[sample]));
        expect(splitDataset(labeled(labels), options)).toEqual({ train, test });
      }),
    );
  });

  it('has each class of two or more samples on both sides, with its part of them, and others to train with', () => {
    fc.assert(
      fc.property(manyLabels, settings, (labels, options) => {
        const { test } = splitDataset(labeled(labels), options);
        for (const label of new Set(labels)) {
          const size = labels.filter((one) => one === label).length;
          const tested = labelsOf(test).filter((one) => one === label).length;
          const part = Math.round(size * options.testFraction);
          expect(tested).toBe(size === 1 ? 0 : Math.min(Math.max(part, 1), size - 1));
        }
      }),
    );
  });

  it('is another one for another seed, and neither side is in the order of the data', () => {
    const dataset = labeled(Array.from({ length: 100 }, (_, index) => index % 3));
    const [one, other] = [1, 2].map((seed) => splitDataset(dataset, { seed }));
    expect(one!.test.samples).not.toEqual(other!.test.samples);
    expect([...one!.train.samples.values]).not.toEqual([...one!.train.samples.values].toSorted((a, b) => a - b));
    expect([...one!.test.samples.values]).not.toEqual([...one!.test.samples.values].toSorted((a, b) => a - b));
  });

  it('keeps a fifth of values to test with', () => {
    const values = Float32Array.from({ length: 50 }, (_, index) => index / 2);
    const targets = valueTargets(values, ['price']);
    const samples = Float32Array.from({ length: 50 }, (_, index) => index);
    const { train, test } = splitDataset({ samples: samplesOf(samples, [1]), count: 50, targets });
    expect([train.count, test.count]).toEqual([40, 10]);
    for (const part of [train, test]) {
      expect(part.targets).toEqual({ ...targets, values: part.samples.values.map((sample) => sample / 2) });
    }
  });

  it.each([
    ['classes of one sample each', labeled([0, 1, 2]).targets, 3, 'expected at least two samples of one class'],
    ['one value', valueTargets(Float32Array.of(1), ['price']), 1, 'expected at least two samples'],
  ])('refuses %s', (_, targets, count, expected) => {
    expect(() => splitIndices(targets, count, 'x.csv', {})).toThrow(
      new DataError(`x.csv: ${expected}, one for training and one for testing, got ${count} in all`),
    );
  });

  it('keeps every sample to test with where the part is 1', () => {
    const { train, test } = splitDataset(labeled([0, 1, 1]), { testFraction: 1 });
    expect([train.count, test.count]).toEqual([0, 3]);
    expect([...test.samples.values].sort()).toEqual([...labeled([0, 1, 1]).samples.values].sort());
  });

  it.each([0, 1.5, Number.NaN])('refuses to test with the part %d', (testFraction) => {
    expect(() => splitDataset(labeled([0, 0]), { testFraction })).toThrow(
      new RangeError(`testFraction: expected a number above 0 and up to 1, got ${testFraction}`),
    );
  });
});

it('folds test each sample once, with each class in proportion, the same for one seed', () => {
  const labels = Uint16Array.from({ length: 23 }, (_, index) => (index % 5 === 0 ? 1 : 0));
  const samples = samplesOf(
    Float32Array.from({ length: 23 }, (_, index) => index),
    [1],
  );
  const dataset = { samples, targets: classTargets(labels, ['a', 'b']), count: 23 };
  const folds = Array.from({ length: 5 }, (_, fold) => foldDataset(dataset, { folds: 5, fold, seed: 3 }));
  const tested = folds.flatMap(({ test }) => [...test.samples.values]);
  expect(tested.sort((a, b) => a - b)).toEqual(Array.from({ length: 23 }, (_, index) => index));
  for (const { train, test } of folds) {
    expect(train.count + test.count).toBe(23);
    expect([4, 5]).toContain(test.count);
    expect(test.targets.values.filter((label) => label === 1)).toHaveLength(1);
    expect([...train.samples.values].filter((value) => test.samples.values.includes(value))).toEqual([]);
  }
  expect(foldDataset(dataset, { folds: 5, fold: 0, seed: 3 })).toEqual(folds[0]);
  expect(foldDataset(dataset, { folds: 5, fold: 0 })).not.toEqual(folds[0]);
  expect(() => foldDataset(dataset, { folds: 24, fold: 0 })).toThrow('folds');
  expect(() => foldDataset(dataset, { folds: 5, fold: 5 })).toThrow('fold');
});
