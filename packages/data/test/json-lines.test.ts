import { describe, expect, it } from 'vitest';
import { parseJsonLines } from '../src/readers/json-lines.ts';
import { datasetFromJsonLines } from '../src/readers/json-lines-dataset.ts';

const parse = (...objects: readonly unknown[]) =>
  parseJsonLines(new TextEncoder().encode(objects.map((object) => `${JSON.stringify(object)}\n`).join('')), 'x.jsonl');

describe('JSON Lines', () => {
  it.each([
    ['features', [1.5, -2], [2]],
    [
      'sample',
      [
        [[0.5], [1]],
        [[2], [3]],
        [[4], [5]],
      ],
      [3, 2, 1],
    ],
  ])('takes the shape of %s from their nesting', (key, values, shape) => {
    const lines = ['u', 'v', 'u', 'v'].map((label) => ({ [key]: values, label }));
    const { train, test, found } = datasetFromJsonLines(parse(...lines));
    expect(train.sampleShape).toEqual(shape);
    expect([...train.samples]).toEqual([...values.flat(3), ...values.flat(3)]);
    expect(train.samples).toBeInstanceOf(Float32Array);
    expect([train.count, test.count, train.targets.names]).toEqual([2, 2, ['u', 'v']]);
    const text = `x.jsonl: 4 lines, ${shape.join(' x ')} numbers each, 2 classes (u, v) in label; `;
    expect(found).toBe(`${text}2 to train, 2 to test (split by seed 1)`);
  });

  it('takes whole numbers up to 255 as bytes', () => {
    const lines = ['u', 'v', 'u', 'v'].map((label, row) => ({ sample: [0, row, 255], label }));
    const { train, test } = datasetFromJsonLines(parse(...lines));
    const samples = [...train.samples, ...test.samples].filter((_, index) => index % 3 === 1);
    expect(samples.toSorted()).toEqual([0, 1, 2, 3]);
    expect(train.samples).toBeInstanceOf(Uint8Array);
  });

  it('takes both files of a pair as bytes where one has a number above 1', () => {
    const pixels = ['u', 'v'].map((label) => ({ sample: [0, 255], label }));
    const { train, test, found } = datasetFromJsonLines(parse(...pixels), {}, parse({ sample: [0, 1], label: 'u' }));
    expect(found).toMatch(/: 3 lines, 2 bytes each, /);
    expect([train.samples, test.samples]).toEqual([Uint8Array.of(0, 255, 0, 255), Uint8Array.of(0, 1)]);
  });

  it('gives a trained model what it takes, whatever the numbers look like', () => {
    const like = { classes: ['u', 'v'] };
    const flags = parse({ sample: [0, 1], label: 'u' });
    const whole = parse({ sample: [2, 3], label: 'u' });
    const read = (lines: typeof flags, bytes: boolean) =>
      datasetFromJsonLines(lines, { like: { ...like, bytes }, testFraction: 1 }).test.samples;
    expect(read(flags, true)).toEqual(Uint8Array.of(0, 1));
    expect(read(whole, false)).toEqual(Float32Array.of(2, 3));
    expect(() => read(parse({ sample: [2, 3], label: 'u' }, { sample: [2, 0.5], label: 'v' }), true)).toThrow(
      /^x\.jsonl: line 2: expected whole numbers from 0 to 255, as in training, got 0\.5$/,
    );
  });

  it('treats flat objects like the rows of a table, keys in any order', () => {
    const { train, reading } = datasetFromJsonLines(
      parse({ size: 1, color: 'red', label: 'u' }, { label: 'u', color: 'blue', size: 3 }),
      { label: 'size', task: 'regression' },
      parse({ size: 2, color: 'red', label: 'u' }),
    );
    expect(reading).toEqual({
      type: 'rows',
      columns: [
        { type: 'category', name: 'color', categories: ['blue', 'red'] },
        { type: 'category', name: 'label', categories: ['u'] },
      ],
    });
    expect([...train.samples]).toEqual([0, 1, 1, 1, 0, 1]);
    expect(train.targets).toEqual({
      type: 'values',
      values: Float32Array.of(-1, 1),
      names: ['size'],
      standardization: { mean: 2, deviation: 1 },
    });
  });

  it('learns values of arrays', () => {
    const lines = [1, 2, 3, 4, 5].map((price) => ({ features: [price / 10], price }));
    const { train } = datasetFromJsonLines(parse(...lines), { label: 'price', task: 'regression' });
    const { values, standardization } = train.targets as Extract<typeof train.targets, { type: 'values' }>;
    const { mean, deviation } = standardization!;
    expect(values).toHaveLength(4);
    values.forEach((value, index) => {
      expect((value * deviation + mean) / 10).toBeCloseTo(train.samples[index]!, 6);
    });
  });
});
