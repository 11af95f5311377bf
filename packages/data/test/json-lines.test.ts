import { describe, expect, it } from 'vitest';
import { valueTargets } from '../src/dataset.ts';
import { parseJsonLines } from '../src/readers/json-lines.ts';
import { datasetFromJsonLines } from '../src/readers/table-dataset.ts';

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
    expect(train.samples.shape).toEqual(shape);
    expect([...train.samples.values]).toEqual([...values.flat(3), ...values.flat(3)]);
    expect(train.samples.values).toBeInstanceOf(Float32Array);
    expect([train.count, test.count, train.targets.names]).toEqual([2, 2, ['u', 'v']]);
    const text = `x.jsonl: 4 lines, ${shape.join(' x ')} numbers each, 2 classes (u, v) in label; `;
    expect(found).toBe(`${text}2 to train, 2 to test (split by seed 1)`);
  });

  describe('of thousands of keys', () => {
    const names = Array.from({ length: 3_000 }, (_, index) => `key ${index}`);
    /** Writes an object with these values last, in the order of the names. */
    const line = (...last: readonly string[]) =>
      `{${names.map((name, index) => `"${name}": ${last[index - names.length + last.length] ?? index / 8}`).join()}}`;
    const read = (...lines: readonly string[]) => {
      const { table } = parseJsonLines(new TextEncoder().encode(lines.join('\n')), 'x.jsonl');
      const rows = Array.from({ length: table.count }, (_, row) => row);
      return rows.map((row) => table.columns.map((column) => column.textAt(row)).slice(-4));
    };

    it.each<[name: string, line: string, cells: readonly string[]]>([
      ['simple values', line('-1.5e2', 'true', 'null', '"a, b"'), ['-150', 'true', '', 'a, b']],
      ['escaped characters', line('"\\u0041"', '"a\\"}"', '0', '1E3'), ['A', 'a"}', '0', '1000']],
      ['numbers that are not finite', line('1e400', '-0', '0.5', '" 7 "'), ['Infinity', '0', '0.5', '7']],
      [
        'spaces around them',
        ` \t${line('1', '2', '3', '4').replaceAll(':', ' :\t').replaceAll(',', ' , ')} `,
        ['1', '2', '3', '4'],
      ],
      [
        'another order',
        `{"${names.at(-1)}":9,${names.slice(0, -1).map((name) => `"${name}":8`)}}`,
        ['8', '8', '8', '9'],
      ],
      ['a missing key', line('1', '2', '3', '4').replace('"key 2998": 3,', ''), ['1', '2', '', '4']],
      ['a key twice', line('1', '2', '3', '4').replace('}', ', "key 2998": 5}'), ['1', '2', '5', '4']],
    ])('reads %s as JSON does', (_, second, cells) => {
      expect(read(line('1', '"x"', '3', '4'), second)).toEqual([['1', 'x', '3', '4'], cells]);
    });

    it.each([
      ['TRUE'],
      ['01'],
      ['1.'],
      ['+1'],
      ['NaN'],
      ["'a'"],
      ['1 2'],
      ['1}'],
      ['1} {"a": 1'],
      ['"\t"'],
      ['1,'],
      [''],
    ])('refuses %j, which is not JSON', (value) => {
      expect(() => read(line('1'), line(value))).toThrow(/^x\.jsonl: line 2: expected a JSON object, got /);
    });

    it('refuses a list and an unknown key', () => {
      expect(() => read(line('1'), line('[1]'))).toThrow(/line 2, key 2999: expected a number or a text, got a list$/);
      expect(() => read(line('1'), line('1, "z": 2'))).toThrow(/line 2: expected the keys .*, got "z" as well$/);
    });
  });

  it('takes whole numbers up to 255 as bytes', () => {
    const lines = ['u', 'v', 'u', 'v'].map((label, row) => ({ sample: [0, row, 255], label }));
    const { train, test } = datasetFromJsonLines(parse(...lines));
    const samples = [...train.samples.values, ...test.samples.values].filter((_, index) => index % 3 === 1);
    expect(samples.toSorted()).toEqual([0, 1, 2, 3]);
    expect(train.samples.values).toBeInstanceOf(Uint8Array);
  });

  it('takes both files of a pair as bytes where one has a number above 1', () => {
    const pixels = ['u', 'v'].map((label) => ({ sample: [0, 255], label }));
    const { train, test, found } = datasetFromJsonLines(parse(...pixels), {}, parse({ sample: [0, 1], label: 'u' }));
    expect(found).toMatch(/: 3 lines, 2 bytes each, /);
    expect([train.samples.values, test.samples.values]).toEqual([Uint8Array.of(0, 255, 0, 255), Uint8Array.of(0, 1)]);
  });

  it('gives a trained model what it takes, whatever the numbers look like', () => {
    const like = { classes: ['u', 'v'] };
    const flags = parse({ sample: [0, 1], label: 'u' });
    const whole = parse({ sample: [2, 3], label: 'u' });
    const read = (lines: typeof flags, bytes: boolean) =>
      datasetFromJsonLines(lines, { like: { ...like, bytes }, testFraction: 1 }).test.samples.values;
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
      label: 'size',
    });
    expect([...train.samples.values]).toEqual([0, 1, 1, 1, 0, 1]);
    expect(train.targets).toEqual(valueTargets(Float32Array.of(-1, 1), ['size'], { mean: 2, deviation: 1 }));
  });

  it('learns values of arrays', () => {
    const lines = [1, 2, 3, 4, 5].map((price) => ({ features: [price / 10], price }));
    const { train } = datasetFromJsonLines(parse(...lines), { label: 'price', task: 'regression' });
    const { values, standardization } = train.targets as Extract<typeof train.targets, { role: 'value' }>;
    const { mean, deviation } = standardization!;
    expect(values).toHaveLength(4);
    values.forEach((value, index) => {
      expect((value * deviation + mean) / 10).toBeCloseTo(train.samples.values[index]!, 6);
    });
  });
});
