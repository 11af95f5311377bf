import { describe, expect, it } from 'vitest';
import { DataError } from '../src/data-error.ts';
import { classTargets, samplesOf, valueTargets } from '../src/dataset.ts';
import { datasetFrom, type LabeledArrays, type ValuedArrays } from '../src/readers/dataset-from.ts';

describe('a data set of arrays', () => {
  it.each<[string, LabeledArrays | ValuedArrays, ReturnType<typeof datasetFrom>]>([
    [
      'one array and class numbers',
      { samples: Float32Array.of(1, 2, 3, 4), labels: [0, 2] },
      {
        samples: samplesOf(Float32Array.of(1, 2, 3, 4), [2]),
        count: 2,
        targets: classTargets(Uint16Array.of(0, 2), ['0', '1', '2']),
      },
    ],
    [
      'bytes of a shape, and named classes',
      {
        samples: Uint8Array.of(1, 2, 3, 4),
        sampleShape: [2, 1, 1],
        labels: Uint8Array.of(1, 0),
        classes: ['no', 'yes'],
      },
      {
        samples: samplesOf(Uint8Array.of(1, 2, 3, 4), [2, 1, 1]),
        count: 2,
        targets: classTargets(Uint16Array.of(1, 0), ['no', 'yes']),
      },
    ],
    [
      'nested lists and names',
      { samples: [[[1, 2]], [[3, 4]]], labels: ['b', 'a'] },
      {
        samples: samplesOf(Float32Array.of(1, 2, 3, 4), [1, 2]),
        count: 2,
        targets: classTargets(Uint16Array.of(1, 0), ['a', 'b']),
      },
    ],
    [
      'a list of arrays and several values for each',
      {
        samples: [Float32Array.of(1, 2), Float32Array.of(3, 4)],
        values: [
          [0.5, 1],
          [2, 3],
        ],
      },
      {
        samples: samplesOf(Float32Array.of(1, 2, 3, 4), [2]),
        count: 2,
        targets: valueTargets(Float32Array.of(0.5, 1, 2, 3), ['value 0', 'value 1']),
      },
    ],
    [
      'numbers alone',
      { samples: [1, 2], values: [3, 4], names: ['price'] },
      {
        samples: samplesOf(Float32Array.of(1, 2), [1]),
        count: 2,
        targets: valueTargets(Float32Array.of(3, 4), ['price']),
      },
    ],
  ])('is made of %s', (_, arrays, dataset) => {
    expect(datasetFrom(arrays)).toEqual(dataset);
  });

  it.each<[string, LabeledArrays | ValuedArrays, string]>([
    ['no samples', { samples: [], labels: [] }, 'expected at least 1 sample, got 0'],
    ['a label too few', { samples: [1, 2, 3], labels: [0, 1] }, 'expected a sample for each of 2 labels, got 3'],
    [
      'a ragged sample',
      {
        samples: [[1, 2], [3]],
        labels: [0, 1],
      },
      'sample 1: expected a list of 2, got one of 1',
    ],
    ['a text as a sample', { samples: [[1], ['2']], labels: [0, 1] }, 'sample 1: expected finite numbers, got "2"'],
    [
      'a BigInt',
      { samples: BigInt64Array.of(1n, 2n) as never, labels: [0, 1] },
      'sample 0: expected finite numbers, got 1n, a BigInt',
    ],
    ['NaN', { samples: [[1], [Number.NaN]], labels: [0, 1] }, 'sample 1: expected finite numbers, got NaN'],
    [
      'a label that is no class',
      { samples: [1, 2], labels: ['a', 'c'], classes: ['a', 'b'] },
      'label 1: expected one of 2 classes, got "c"',
    ],
    [
      'a class number out of range',
      { samples: [1, 2], labels: [0, 2], classes: ['a', 'b'] },
      'label 1: expected one of 2 classes, got 2',
    ],
    ['one class', { samples: [1, 2], labels: ['a', 'a'] }, 'expected from 2 to 65535 classes, got 1'],
    [
      'an infinite value',
      { samples: [1, 2], values: [1, Number.POSITIVE_INFINITY] },
      'values: expected finite numbers, got Infinity',
    ],
    [
      'a label that is no number',
      { samples: [1, 2], labels: [1, Number.NaN] },
      'label 1: expected one of 2 classes, got NaN',
    ],
    [
      'names and another label',
      { samples: [1, 2], labels: ['a', {}] as never },
      'label 1: expected one of 1 classes, got an object',
    ],
  ])('is refused with %s', (_, arrays, message) => {
    expect(() => datasetFrom(arrays)).toThrow(new DataError(`datasetFrom: ${message}`));
  });

  const good = { samples: [[1], [2]], labels: ['a', 'b'] };

  it.each<[string, object, string]>([
    [
      'neither labels nor values',
      { samples: [[1]] },
      'datasetFrom: values: expected a list or a typed array, got nothing',
    ],
    [
      'an unknown part',
      { ...good, clases: ['a'] },
      'datasetFrom: expected the options samples, sampleShape, labels, classes, got clases',
    ],
    [
      'samples that are none',
      { ...good, samples: null },
      'datasetFrom: samples: expected a list or a typed array, got null',
    ],
    ['a text of labels', { ...good, labels: 'ab' }, 'datasetFrom: labels: expected a list or a typed array, got "ab"'],
    ['a text of classes', { ...good, classes: 'ab' }, 'datasetFrom: classes: expected a list of names, got "ab"'],
    [
      'a number as the shape',
      { ...good, sampleShape: 1 },
      'datasetFrom: sampleShape: expected a list of lengths, got 1',
    ],
  ])('is refused, before it is read, with %s', (_, arrays, message) => {
    expect(() => datasetFrom(arrays as LabeledArrays)).toThrow(new Error(message));
  });
});
