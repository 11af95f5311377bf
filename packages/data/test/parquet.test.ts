import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { DataError } from '../src/data-error.ts';
import { openDataset } from '../src/node/open-dataset.ts';
import { parseParquet } from '../src/readers/parquet.ts';
import { parquetFile } from './parquet-file.ts';

const golden = (name: string): string => fileURLToPath(new URL(`../goldens/${name}`, import.meta.url));

describe('Parquet', () => {
  it.each(['none', 'snappy', 'gzip', 'zstd'])(
    'packed with %s holds the samples of the same table as CSV',
    async (how) => {
      const { found, ...parquet } = await openDataset(golden(`iris-${how}.parquet`));
      const { found: foundInCsv, ...csv } = await openDataset(golden('../../../docs/iris.csv'));
      expect(parquet).toEqual(csv);
      expect(found).toBe(foundInCsv.replace('iris.csv', `iris-${how}.parquet`));
    },
  );

  it('may have whole numbers, truth values, and texts that are missing', async () => {
    const table = await parseParquet(readFileSync(golden('types.parquet')), 'types.parquet');
    const cells = table.columns.map((column) => [0, 1, 2].map((row) => column.textAt(row)));
    expect(cells).toEqual([
      ['1', '2', '3'],
      ['true', 'false', 'true'],
      ['a', 'b', ''],
      ['x', 'y', 'x'],
    ]);
  });

  it('may have row groups of several columns of one value, and of any names', async () => {
    const names = ['__proto__', 'constructor', 'toString', 'label'];
    const columns = names.map((name, index) => ({ name, values: { equal: index } }));
    const table = await parseParquet(parquetFile(columns, 3), 'x.parquet');
    expect(table.columns.map((column) => [column.name, column.textAt(0), column.numberAt(2)])).toEqual(
      names.map((name, index) => [name, `${index}`, index]),
    );
  });

  it.each<[what: string, file: Uint8Array, message: string]>([
    [
      'more rows than its pages have',
      parquetFile([{ name: 'a', values: [1, 2] }], 2, 3),
      'a column has 2 values for 3 rows',
    ],
    [
      'fewer rows than its pages have',
      parquetFile([{ name: 'a', values: [1, 2] }], 2, 1),
      'a column of 1 rows has a page of 2 values',
    ],
  ])('is refused with %s', async (_, file, message) => {
    const expected = `x.parquet: expected a Parquet file, got one that cannot be read: ${message}`;
    await expect(parseParquet(file, 'x.parquet')).rejects.toThrow(new DataError(expected));
  });

  it('has days without a time, and no column for the unnamed index of pandas', async () => {
    const { columns } = await parseParquet(readFileSync(golden('shuffled.parquet')), 'shuffled.parquet');
    expect(columns.map((column) => [column.name, column.textAt(0), column.textAt(1)])).toEqual([
      ['day', '2024-01-31', '2024-02-01'],
      ['label', 'x', 'y'],
    ]);
  });
});
