/** Missing values are named, filled in as scikit-learn does, or dropped with their rows; doubtful columns are noticed. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openDataset } from '../src/node/open-dataset.ts';
import { parseDelimited } from '../src/readers/delimited.ts';
import { encodeFeatures, encodeRows, type FeatureColumn, type TableRow } from '../src/readers/features.ts';
import { parseJsonLines } from '../src/readers/json-lines.ts';
import { datasetFromJsonLines, datasetFromTable, type OpenedDataset } from '../src/readers/table-dataset.ts';
import { folderOf } from './temporary-folder.ts';

const golden = JSON.parse(readFileSync(new URL('../goldens/missing.json', import.meta.url), 'utf8'));
const parse = (text: string, name = 'x.csv') => parseDelimited(new TextEncoder().encode(text), name);
const fills = ['mean', 'median', 'most-frequent'] as const;

function columnsOf({ reading }: OpenedDataset): readonly FeatureColumn[] {
  return reading?.type === 'rows' ? reading.columns : [];
}

interface Row {
  readonly size: number | null;
  readonly zone: string | null;
  readonly label: string;
}

const rowsOf = (fewest: number) =>
  fc.array(
    fc.record({
      size: fc.option(fc.double({ noNaN: true, min: -1e6, max: 1e6 }), { freq: 3 }),
      zone: fc.option(fc.constantFrom('A', 'B', '?', 'NA'), { freq: 3 }),
      label: fc.constantFrom('u', 'v'),
    }),
    { minLength: fewest, maxLength: 40 },
  );
/** Rows that have each category and both labels, and a missing value in each column. */
const anyRows = rowsOf(0).map((rows): readonly Row[] => [
  { size: 1, zone: 'A', label: 'u' },
  { size: 2, zone: 'B', label: 'v' },
  { size: 3, zone: '?', label: 'u' },
  { size: 4, zone: 'NA', label: 'v' },
  { size: null, zone: 'A', label: 'u' },
  { size: 5, zone: null, label: 'v' },
  ...rows,
]);
const missingNumber = fc.constantFrom('', 'NA', 'n/a', 'NaN', 'null', 'None', '?', '-', '#N/A', '<NA>');

function csvOf(rows: readonly Row[], missing = ''): string {
  return `size,zone,label\n${rows.map(({ size, zone, label }) => `${size ?? missing},${zone ?? ''},${label}\n`).join('')}`;
}

describe('missing values', () => {
  it.each(fills)('are filled in by %s as scikit-learn does, fitted on the training rows', (missing) => {
    const opened = datasetFromTable(parse(golden.train), { missing }, parse(golden.test));
    const [train, test] = golden.encoded[missing].map((rows: number[][]) => rows.flat());
    for (const [expected, { samples }] of [
      [train, opened.train],
      [test, opened.test],
    ]) {
      expect(samples.values).toHaveLength(expected.length);
      expect(
        Math.max(...expected.map((value: number, at: number) => Math.abs(value - samples.values[at]!))),
      ).toBeLessThan(1e-6);
    }
  });

  it('become what the same table has with the values written in', () => {
    fc.assert(
      fc.property(anyRows, missingNumber, fc.constantFrom(...fills), (rows, written, missing) => {
        const opened = datasetFromTable(parse(csvOf(rows, written)), { missing });
        const [size, zone] = columnsOf(opened).map((column) => column.missing);
        const whole = rows.map((row) => ({ ...row, size: row.size ?? Number(size), zone: row.zone ?? `${zone}` }));
        const same = datasetFromTable(parse(csvOf(whole)));
        expect([same.train, same.test]).toEqual([opened.train, opened.test]);
        expect(columnsOf(same)).toEqual(columnsOf(opened).map(({ missing: _, ...column }) => column));
      }),
    );
  });

  it('do not depend on the test rows, and are filled in even in columns that had none', () => {
    const train = parse('a,b,label\n1,x,u\n3,y,v\n5,x,u\n');
    const one = datasetFromTable(train, { missing: 'median' }, parse('a,b,label\n,,u\n'));
    const other = datasetFromTable(train, { missing: 'median' }, parse('a,b,label\n1000,y,u\n'));
    expect(columnsOf(one)).toEqual(columnsOf(other));
    expect(columnsOf(one).map(({ missing }) => missing)).toEqual([3, 'x']);
    expect([...one.test.samples.values]).toEqual([0, 1, 0]);
  });

  it('leave their rows out as if the file lacked them', () => {
    fc.assert(
      fc.property(anyRows, missingNumber, (rows, written) => {
        const opened = datasetFromTable(parse(csvOf(rows, written)), { missing: 'drop' });
        const whole = rows.filter(({ size, zone }) => size !== null && zone !== null);
        const same = datasetFromTable(parse(csvOf(whole)));
        expect([same.train, same.test]).toEqual([opened.train, opened.test]);
        expect(opened.found).toContain(`\n${rows.length - whole.length} of ${rows.length} rows dropped`);
        expect(opened.reading).toEqual({ ...same.reading, missing: 'drop' });
      }),
    );
  });

  it('are refused with the number of them in each column', () => {
    fc.assert(
      fc.property(anyRows, missingNumber, (rows, written) => {
        const count = (key: 'size' | 'zone') => rows.filter((row) => row[key] === null).length;
        const where = (key: 'size' | 'zone', one: string) =>
          count(key) === 1 ? `line ${rows.findIndex((row) => row[key] === null) + 2}` : one;
        const shown = `size (${where('size', `${count('size')} of ${rows.length} rows`)}), zone (${where('zone', `${count('zone')}`)})`;
        expect(() => datasetFromTable(parse(csvOf(rows, written)))).toThrow(
          `x.csv: expected no missing values, got some in ${shown}: fill missing values in with --missing`,
        );
      }),
    );
  });

  it('have a policy for each column', () => {
    const table = parse('a,b,c,label\n1,,x,u\n,2,x,v\n3,4,,u\n5,6,y,v\n5,8,y,u\n');
    const { train, reading } = datasetFromTable(
      table,
      { missing: { a: 'most-frequent', b: 'mean', c: 'drop' } },
      parse('a,b,c,label\n,,y,v\n'),
    );
    expect(train.count).toBe(4);
    expect(reading).toMatchObject({ missing: 'drop', columns: [{ missing: 5 }, { missing: 16 / 3 }, { name: 'c' }] });
    expect(() => datasetFromTable(table, { missing: { a: 'mean', c: 'drop' } })).toThrow(
      /line 2, column b: expected a finite number, got none/,
    );
    expect(() => datasetFromTable(table, { missing: { d: 'drop' } })).toThrow(
      'expected a column "d" with missing values, got the columns a, b, c, label',
    );
    expect(() => datasetFromTable(table, { missing: 'medain' as 'median' })).toThrow(
      'missing: expected one of error, mean, median, most-frequent, drop, got "medain"',
    );
  });

  it('of a label leave the row out or are refused, also beside arrays', () => {
    const text = 'a,label\n1,u\n2,\n3,v\n4,\n5,u\n6,v\n';
    expect(() => datasetFromTable(parse(text), { missing: 'mean' })).toThrow(
      'x.csv: line 3, column label: expected a label, got none, as in 1 more: drop such rows with --missing drop',
    );
    const opened = datasetFromTable(parse(text), { missing: 'drop' });
    expect(opened.train.count + opened.test.count).toBe(4);
    const priced = parse('a,price\n1,10\n2,?\n3,30\n');
    expect(() => datasetFromTable(priced, { task: 'regression' })).toThrow(
      'line 3, column price: expected a label, got "?"',
    );
    const { train, test } = datasetFromTable(priced, { task: 'regression', missing: 'drop' });
    expect([train.count, test.count]).toEqual([1, 1]);
    const lines = text
      .split('\n')
      .slice(1, -1)
      .map((line) => line.split(','));
    const objects = lines.map(([a, label]) => JSON.stringify({ sample: [Number(a), 7], label: label || null }));
    const arrays = parseJsonLines(new TextEncoder().encode(objects.join('\n')), 'x.jsonl');
    expect(() => datasetFromJsonLines(arrays)).toThrow('x.jsonl: line 2, column label: expected a label, got none');
    const kept = datasetFromJsonLines(arrays, { missing: 'drop' });
    expect(new Set([...kept.train.samples.values, ...kept.test.samples.values])).toEqual(new Set([1, 3, 5, 6, 7]));
    expect(kept.found).toContain('\n2 of 6 rows dropped because of missing values');
  });

  it('are filled in or refused in the rows of a trained model', () => {
    const { reading } = datasetFromTable(
      parse('a,b,label\n1,x,u\n3,y,v\n5,x,u\n'),
      { missing: 'mean' },
      parse('a,b,label\n1,x,u\n'),
    );
    const { columns } = reading as { columns: readonly FeatureColumn[] };
    const rows = parse('b,a\n,NA\nx,3\n');
    const values = encodeFeatures(rows, columns, Uint32Array.of(0, 1));
    expect(values.subarray(0, 3)).toEqual(values.subarray(3));
    const refusing = columns.map(({ missing: _, ...column }) => column as FeatureColumn);
    expect(() => encodeFeatures(rows, refusing.slice(0, 1), Uint32Array.of(0))).toThrow(
      'x.csv: line 2, column a: expected a finite number, got "NA"',
    );
    expect(() => encodeFeatures(rows, refusing.slice(1), Uint32Array.of(0))).toThrow(
      'x.csv: line 2, column b: expected one of the known categories (x, y), got none',
    );
  });
});

describe('rows in memory', () => {
  const columns: readonly FeatureColumn[] = [
    { type: 'number', name: 'size', mean: 10, deviation: 2, missing: 12 },
    { type: 'category', name: 'zone', categories: ['A', 'B', '?', 'NA', 'true'], missing: 'B' },
  ];

  it('are encoded as the same rows of a file', () => {
    fc.assert(
      fc.property(anyRows, (rows) => {
        const table = parse(csvOf(rows));
        const fromFile = encodeFeatures(table, columns, Uint32Array.from(rows.keys()));
        expect(encodeRows(rows as unknown as TableRow[], columns)).toEqual(fromFile);
      }),
    );
    expect(encodeRows([], columns)).toEqual(new Float32Array());
    const missing = [null, undefined, '', Number.NaN].map((size) => ({ size, zone: true }));
    expect(encodeRows(missing, columns)).toEqual(Float32Array.from([0, 0, 0, 0].flatMap(() => [1, 0, 0, 0, 0, 1])));
  });

  it.each<[unknown, string]>([
    [{ size: 1 }, 'row 1: expected a column "zone" for the model, got the columns size'],
    [{}, 'row 1: expected a column "size" for the model, got the columns none'],
    [{ size: 'big', zone: 'A' }, 'row 1, column size: expected a finite number, got "big"'],
    [{ size: Number.POSITIVE_INFINITY, zone: 'A' }, 'row 1, column size: expected a finite number, got "Infinity"'],
    [{ size: 1, zone: 'C' }, 'row 1, column zone: expected one of the known categories (A, B, ?, NA, true), got "C"'],
    [{ size: 1, zone: 3 }, 'row 1, column zone: expected one of the known categories (A, B, ?, NA, true), got 3'],
    [{ size: [1], zone: 'A' }, 'row 1, column size: expected a number, a text or null, got a list of 1'],
    [[1, 'A'], 'row 1: expected an object with the columns size, zone, got a list of 2'],
    [null, 'row 1: expected an object with the columns size, zone, got null'],
  ])('%j is refused by row and column', (row, message) => {
    const rows = [{ size: 1, zone: 'A' }, row] as TableRow[];
    expect(() => encodeRows(rows, columns, 'predictRows')).toThrow(`predictRows: ${message}`);
  });
});

describe('a notice', () => {
  const numbered = (row: (index: number) => string) =>
    Array.from({ length: 40 }, (_, index) => `${row(index)}\n`).join('');

  it.each<[what: string, header: string, row: (index: number) => string, notice: string]>([
    [
      'rows that are counted in any order',
      'id,a,label',
      (index) => `${1 + ((index * 7) % 40)},${index % 3},${index % 2}`,
      'id: different in nearly every row; ignore it with --ignore id',
    ],
    [
      'numbers that grow, and texts that differ',
      'id,name,a,label',
      (index) => `${index * 3},n${index},${index % 3},${index % 2}`,
      'id, name: different in nearly every row; ignore them with --ignore id,name',
    ],
    [
      'dates',
      'day,a,label',
      (index) => `2024-01-${10 + (index % 20)},${index % 3},${index % 2}`,
      'day: each date becomes a category; ignore it with --ignore day',
    ],
    [
      'decimal commas between commas',
      'a,b,label',
      (index) => `"${index % 7},${index % 5}","-${index % 3},25",${index % 2}`,
      'a, b: each number with a decimal comma becomes a category; write decimals with a point, as in 3.5, or ignore them with --ignore a,b',
    ],
    [
      'equal cells',
      'unit,rate,a,label',
      (index) => `m,7,${index % 3},${index % 2}`,
      'unit, rate: equal in all rows; ignore them with --ignore unit,rate',
    ],
    [
      'values that are filled in',
      'a,b,label',
      (index) => `${index % 4 === 0 ? 'NA' : index % 3},${index % 5 === 0 ? '' : 'xy'[index % 2]},${index % 2}`,
      'missing values filled in: a with 0 (10), b with x (8)',
    ],
  ])('names %s', (_, header, row, notice) => {
    const { found } = datasetFromTable(parse(`${header}\n${numbered(row)}`), { missing: 'most-frequent' });
    expect(found.split('\n').slice(1)).toEqual([notice]);
  });

  it('is not given for ordinary columns, nor for the only one', () => {
    const ordinary = parse(`a,b,label\n${numbered((index) => `${index % 7},${index / 8},${index % 2}`)}`);
    expect(datasetFromTable(ordinary).found).not.toContain('\n');
    expect(datasetFromTable(parse(`a,label\n${numbered((index) => `${index},${index % 2}`)}`)).found).not.toContain(
      '\n',
    );
  });

  it('says that test rows have no label, which is then the column that they lack', async () => {
    const train = `id,kind,a\n${numbered((index) => `${index},${index % 2 ? 'x' : 'y'},${index % 3}`)}`;
    const folder = folderOf({
      'train.csv': train,
      'test.csv': 'id,a\n1,2\n',
      'sample_submission.csv': 'id,kind\n1,x\n',
    });
    const { found, reading, train: own, test } = await openDataset(folder, { ignore: ['id'] });
    expect(reading).toMatchObject({ label: 'kind', columns: [{ name: 'a' }] });
    expect([own.count, test.count]).toEqual([32, 8]);
    expect(found).toBe(
      'train.csv: 40 rows, 1 number each, 2 classes (x, y) in column kind; 32 to train, 8 to test (split by seed 1)\n' +
        'test.csv has no column kind, so a part of train.csv is used for testing; predict --out FILE.csv predicts test.csv',
    );
    const alone = await openDataset(join(folder, 'train.csv'), { ignore: ['id'], label: 'kind' });
    expect([own, test]).toEqual([alone.train, alone.test]);
  });

  it('refuses test rows that lack more than the label', async () => {
    const train = `a,b,c,species\n${numbered((index) => `${index},${index % 3},1,${index % 2 ? 'x' : 'y'}`)}`;
    const folder = folderOf({ 'train.csv': train, 'test.csv': 'a\n2\n' });
    await expect(openDataset(folder, { ignore: ['c'] })).rejects.toThrow(
      'test.csv: expected all columns of train.csv besides the label "species", got none called b',
    );
  });
});
