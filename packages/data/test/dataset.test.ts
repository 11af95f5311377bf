import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DataError } from '../src/data-error.ts';
import { checkDataset, type Dataset } from '../src/dataset.ts';

const classes = (labels: readonly number[], names: readonly string[]) =>
  ({ type: 'classes', labels: Uint16Array.from(labels), names }) as const;

const valid: Dataset = {
  samples: Float32Array.of(1, 2, 3, 4, 5, 6),
  sampleShape: [3],
  count: 2,
  targets: classes([0, 1], ['cat', 'dog']),
};

const numbers: Dataset['targets'] = { type: 'values', values: Float32Array.of(1, 2, 3, 4), names: ['width', 'height'] };

describe('the check of a data set', () => {
  it.each([valid, { ...valid, targets: numbers }, { ...valid, samples: Uint8Array.of(0, 1, 2, 3, 4, 255) }])(
    'takes one whose parts fit',
    (dataset) => {
      expect(() => checkDataset(dataset, 'x')).not.toThrow();
    },
  );

  it.each<[string, Partial<Dataset>, string]>([
    ['no samples', { count: 0 }, 'expected samples, their count: expected a whole number of at least 1, got 0'],
    ['no shape', { sampleShape: [] }, 'expected the shape of a sample, got none'],
    [
      'half a value',
      { sampleShape: [1.5, 2] },
      'the shape of a sample: expected a whole number of at least 1, got 1.5',
    ],
    ['a value too few', { sampleShape: [2, 2] }, 'expected 8 values, 2 samples of 2 x 2, got 6'],
    ['a label too few', { targets: classes([0], ['cat', 'dog']) }, 'expected 2 targets, got 1'],
    [
      'a label that is no class',
      { targets: classes([0, 2], ['cat', 'dog']) },
      'expected labels from 0 to 1, got 2 at sample 1',
    ],
    ['one class', { targets: classes([0, 0], ['cat']) }, 'expected from 2 to 65535 classes, got 1'],
    [
      'too many classes',
      {
        targets: classes(
          [0, 0],
          Array.from({ length: 65_536 }, () => 'cat'),
        ),
      },
      'expected from 2 to 65535 classes, got 65536',
    ],
    [
      'nothing to learn',
      { targets: { type: 'values', values: new Float32Array(0), names: [] } },
      'expected from 1 to 65535 values to learn for each sample, got 0',
    ],
    [
      'a target that is no number',
      { targets: { ...numbers, values: Float32Array.of(1, 2, 3, Number.NaN) } },
      'expected finite numbers, got NaN as the target "height" of sample 1',
    ],
  ])('refuses %s', (_, part, message) => {
    expect(() => checkDataset({ ...valid, ...part }, 'x')).toThrow(new DataError(`x: ${message}`));
  });

  it('says which value of which sample is not finite', () => {
    const fault = fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY);
    fc.assert(
      fc.property(fc.nat(5), fault, (at, value) => {
        const samples = valid.samples.slice();
        samples[at] = value;
        expect(() => checkDataset({ ...valid, samples }, 'table.csv')).toThrow(
          new DataError(
            `table.csv: expected finite numbers, got ${value} as value ${at % 3} of sample ${Math.floor(at / 3)}`,
          ),
        );
      }),
    );
  });
});
