import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DataError } from '../src/data-error.ts';
import {
  bytesPerSample,
  checkDataset,
  classTargets,
  type Dataset,
  fieldOf,
  nextTargets,
  samplesOf,
  tokenSamples,
  valueTargets,
} from '../src/dataset.ts';

const classes = (labels: readonly number[], names: readonly string[]) => classTargets(Uint16Array.from(labels), names);

const values = Float32Array.of(1, 2, 3, 4, 5, 6);
const valid: Dataset = {
  samples: samplesOf(values, [3]),
  count: 2,
  targets: classes([0, 1], ['cat', 'dog']),
};

const numbers = valueTargets(Float32Array.of(1, 2, 3, 4), ['width', 'height']);

/** Two windows of two positions. */
const text: Dataset = {
  samples: tokenSamples(Uint8Array.of(0, 1, 2, 2, 1, 0), 3, 3),
  count: 2,
  targets: nextTargets(['a', 'b', 'c'], 2),
};

it('says of a field what a worker needs', () => {
  expect(fieldOf(text.samples)).toEqual({ dtype: 'u8', shape: [3], role: 'index', tokens: 3 });
  expect(fieldOf(text.targets)).toEqual({ dtype: 'u8', shape: [0], role: 'next', positions: 2 });
  expect(fieldOf(nextTargets([], 1.5, true))).toMatchObject({ positions: 1.5, lines: true });
});

it('sends a token as one or two bytes, and next tokens not at all', () => {
  expect(bytesPerSample(text)).toBe(3);
  expect(bytesPerSample({ ...text, samples: tokenSamples(new Uint16Array(3), 3, 257) })).toBe(6);
});

describe('the check of a data set', () => {
  it.each([
    valid,
    { ...valid, targets: numbers },
    { ...valid, samples: samplesOf(Uint8Array.of(0, 1, 2, 3, 4, 255), [3]) },
    text,
    { ...valid, samples: tokenSamples(Uint16Array.of(0, 1, 2, 3, 4, 256), 3, 257) },
  ])('takes one whose parts fit', (dataset) => {
    expect(() => checkDataset(dataset, 'x')).not.toThrow();
  });

  it.each<[string, Partial<Dataset>, string]>([
    ['no samples', { count: 0 }, 'expected at least 1 sample, got 0'],
    ['no shape', { samples: samplesOf(values, []) }, 'expected the shape of a sample, got none'],
    [
      'half a value',
      { samples: samplesOf(values, [1.5, 2]) },
      'the shape of a sample: expected a whole number of at least 1, got 1.5',
    ],
    ['a value too few', { samples: samplesOf(values, [2, 2]) }, 'expected 8 values, 2 samples of 2 x 2, got 6'],
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
      { targets: valueTargets(new Float32Array(0), []) },
      'expected from 1 to 65535 values to learn for each sample, got 0',
    ],
    [
      'a target that is no number',
      { targets: valueTargets(Float32Array.of(1, 2, 3, Number.NaN), numbers.names) },
      'expected finite numbers, got NaN as the target "height" of sample 1',
    ],
    [
      'a token beyond the vocabulary',
      { ...text, samples: tokenSamples(Uint8Array.of(0, 1, 2, 0, 3, 0), 3, 3) },
      'expected tokens from 0 to 2, got 3 in sample 1',
    ],
    [
      'one token',
      { samples: tokenSamples(new Uint8Array(6), 3, 1) },
      'expected from 2 to 65535 different tokens, got 1',
    ],
    [
      'next tokens of numbers',
      { targets: text.targets },
      'expected samples of tokens to predict the next one, got value',
    ],
    ['another vocabulary', { ...text, targets: nextTargets(['a'], 2) }, 'expected names of 3 tokens, got 1'],
    [
      'samples of one token',
      { ...text, count: 6, samples: tokenSamples(new Uint8Array(6), 1, 3) },
      'expected samples of at least 2 tokens, got 1',
    ],
    [
      'more positions than a sample has',
      { ...text, targets: nextTargets(['a', 'b', 'c'], 3) },
      'expected from 1 to 2 predicted positions in a sample of 3 tokens, got 3',
    ],
    [
      'targets without values',
      { targets: { dtype: 'u16', shape: [], role: 'index' } as never },
      'expected targets with dtype, shape, role, values and names, got an object',
    ],
    [
      'samples that are none',
      { samples: null as never },
      'expected samples with dtype, shape, role and values, got null',
    ],
  ])('refuses %s', (_, part, message) => {
    expect(() => checkDataset({ ...valid, ...part }, 'x')).toThrow(new DataError(`x: ${message}`));
  });

  it('says which value of which sample is not finite', () => {
    const fault = fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY);
    fc.assert(
      fc.property(fc.nat(5), fault, (at, value) => {
        const wrong = values.slice();
        wrong[at] = value;
        expect(() => checkDataset({ ...valid, samples: samplesOf(wrong, [3]) }, 'table.csv')).toThrow(
          new DataError(
            `table.csv: expected finite numbers, got ${value} as value ${at % 3} of sample ${Math.floor(at / 3)}`,
          ),
        );
      }),
    );
  });
});
