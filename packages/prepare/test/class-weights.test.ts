/** Weights of classes: balanced as in scikit-learn, by name, and from files. */
import { readFileSync } from 'node:fs';
import { classTargets, type Dataset, nextTargets, samplesOf, valueTargets } from '@lockstep/data';
import { describe, expect, it } from 'vitest';
import { type ClassWeights, parseClassWeights, withClassWeights } from '../src/class-weights.ts';

function dataOf(labels: readonly number[], names: readonly string[]): Dataset {
  const samples = samplesOf(new Uint8Array(labels.length), [1]);
  return { samples, targets: classTargets(Uint16Array.from(labels), names), count: labels.length };
}

const animals = dataOf([0, 0, 0, 1], ['cat', 'dog', 'cow']);

const weightsOf = (data: Dataset, asked: ClassWeights | 'balanced'): readonly number[] | undefined => {
  const { targets } = withClassWeights(data, asked);
  return targets.role === 'index' ? targets.classWeights : undefined;
};

describe('weights of classes', () => {
  it('are those of scikit-learn if balanced, and 1 for a class without samples', () => {
    const file = new URL('../../nn/goldens/metrics.json', import.meta.url);
    const { labels, balanced } = JSON.parse(readFileSync(file, 'utf8')).weightedLoss;
    expect(weightsOf(dataOf(labels, ['a', 'b', 'c']), 'balanced')).toEqual(balanced);
    expect(weightsOf(animals, 'balanced')).toEqual([4 / 6, 2, 1]);
  });

  it('are 1 for classes that are not named', () => {
    expect(weightsOf(animals, { cow: 0.5 })).toEqual([1, 1, 0.5]);
    expect(withClassWeights(animals, undefined)).toBe(animals);
  });

  const values = { ...animals, targets: valueTargets(new Float32Array(4), ['size']) };
  const text = { ...animals, targets: nextTargets(['a', 'b'], 3) };
  const many = dataOf(
    [0],
    Array.from({ length: 4097 }, (_, at) => `${at}`),
  );
  it.each<[Dataset, ClassWeights | 'balanced', message: RegExp]>([
    [values, 'balanced', /^classWeights: expected data with classes, got values to predict$/],
    [text, 'balanced', /^classWeights: expected data with classes, got next tokens to predict$/],
    [many, 'balanced', /^classWeights: expected at most 4096 classes, got 4097$/],
    [animals, { horse: 1 }, /^classWeights: expected the classes "cat", "dog", "cow", got "horse"$/],
    [many, { horse: 1 }, /^classWeights: expected at most 4096 classes/],
    [dataOf([0], [...'abcdefghijkl']), { z: 1 }, /"j", … \(12 in all\), got "z"$/],
    [animals, { cat: 0, dog: 0, cow: 0 }, /^classWeights: expected a weight above 0, got 0 for every class$/],
  ])('that do not fit the data are refused (%#)', (data, asked, message) => {
    expect(() => withClassWeights(data, asked)).toThrow(message);
  });
});

describe('a file of weights', () => {
  it.each([
    ['JSON', '{ "cat": 2, "the dog": 0.5 }'],
    ['CSV', 'cat,2\nthe dog,0.5\n'],
    ['CSV with a header', 'class,weight\r\n"cat",2\r\n"the dog", 0.5\r\n\r\n'],
    ['tabs', 'cat\t2\nthe dog\t5e-1'],
  ])('is read as %s', (_, text) => {
    expect(parseClassWeights(text)).toEqual({ cat: 2, 'the dog': 0.5 });
  });

  it('keeps commas and quotes in quoted names', () => {
    expect(parseClassWeights('"a ""b"", c",3')).toEqual({ 'a "b", c': 3 });
  });

  it.each([
    ['cat', /^line 1: expected a class and its weight, such as cat,2\.5, got "cat"$/],
    ['cat,1\ndog,', /^line 2: expected a class and its weight/],
    ['cat,1\ndog,x', /^line 2: /],
    ['', /^expected a class and its weight, such as cat,2\.5, got none$/],
    ['class,weight\n\n', /^expected a class and its weight/],
    ['cat,2\ndog,1\n"cat",3', /^line 3: expected each class once, got "cat" again$/],
    ['cat,-1', /^class "cat": expected a weight of at least 0, got -1$/],
    ['{"cat":"2"}', /^class "cat": expected a weight of at least 0, got "2"$/],
    ['{"cat":1e39}', /^class "cat": expected/],
    ['[1, 2]', /^expected an object of weights by class name, got a list$/],
    ['{', /JSON/],
  ])('that is wrong is refused: %j', (text, message) => {
    expect(() => parseClassWeights(text)).toThrow(message);
  });
});
