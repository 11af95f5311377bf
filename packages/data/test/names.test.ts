/**
 * Names of columns, classes and files from users or attackers: all formats take them as they are and show them safely.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DataError } from '../src/data-error.ts';
import { openDataset, openRows } from '../src/node/open-dataset.ts';
import { parquetFile } from './parquet-file.ts';
import { folderOf } from './temporary-folder.ts';

const picture = readFileSync(new URL('../goldens/color-6x4.png', import.meta.url));
const cell = (text: string): string => `"${text}"`;

/** Writers of tables with two columns: the first has this name and the values 1, 2, 3 and 4, the second the labels. */
const tables: Readonly<Record<string, (name: string, label: string) => string | Uint8Array>> = {
  'x.csv': (name) => `${cell(name)},label\n1,x\n2,y\n3,x\n4,y\n`,
  'x.tsv': (name) => `${cell(name)}\tlabel\n1\tx\n2\ty\n3\tx\n4\ty\n`,
  'x.jsonl': (name) =>
    [1, 2, 3, 4].map((value) => `{${JSON.stringify(name)}:${value},"label":"${value % 2 ? 'x' : 'y'}"}`).join('\n'),
  'x.parquet': (name) =>
    parquetFile(
      [
        { name, values: [1, 2, 3, 4] },
        { name: 'label', values: [0, 1, 0, 1] },
      ],
      4,
    ),
};

describe.each(Object.entries(tables))('%s', (file, content) => {
  it.each(['__proto__', 'constructor', 'prototype', 'hasOwnProperty', 'valueOf', 'a.b', '1'])(
    'has a column of the name %s',
    async (name) => {
      const path = join(folderOf({ [file]: content(name, 'label') }), file);
      const rows = await openRows(path);
      const column = rows!.table.columns.find((one) => one.name === name)!;
      expect([0, 1, 2, 3].map((row) => column.numberAt(row))).toEqual([1, 2, 3, 4]);
      const { train, test, reading } = await openDataset(path, { label: 'label' });
      expect(reading).toMatchObject({ type: 'rows', columns: [{ name, mean: 2.5 }] });
      expect(train.count + test.count).toBe(4);
    },
  );

  it.each([
    ['an override of the direction', 'a\u202eb', 'a\\u202eb'],
    ['an escape sequence', 'a\x1b[2Jb', 'a\\u001b[2Jb'],
    ['a separator of lines', 'a\u2028b', 'a\\u2028b'],
    ['a thousand characters', 'a'.repeat(1_000), `${'a'.repeat(39)}…${'a'.repeat(39)}`],
  ])('shows a name with %s as one short line', async (_, name, shown) => {
    const path = join(folderOf({ [file]: content(name, 'label') }), file);
    const error = (await openDataset(path, { label: 'no\u202ene' }).catch((reason: unknown) => reason)) as DataError;
    expect(error).toEqual(
      new DataError(`${file}: expected a column "no\\u202ene" for the label, got the columns ${shown}, label`),
    );
    expect(error.message).not.toMatch(/[\p{Cc}\u202e\u2028]/u);
    const { found } = await openDataset(path, { label: name, task: 'regression' });
    expect(found).toContain(`in column ${shown};`);
    expect(found).not.toMatch(/[\p{Cc}\u202e\u2028]/u);
  });
});

it.each(['__proto__', 'constructor', 'a\u202eb', 'a, b'])(
  '%j is a class like any other, in a table and as a folder',
  async (name) => {
    const folder = folderOf({ 'x.csv': `a,label\n1,"${name}"\n2,y\n3,"${name}"\n4,y\n` });
    for (const path of [`${name}/1.png`, `${name}/2.png`, 'y/1.png', 'y/2.png']) {
      const place = join(folder, 'pictures', path);
      mkdirSync(dirname(place), { recursive: true });
      writeFileSync(place, picture);
    }
    for (const data of ['x.csv', 'pictures']) {
      const { train, found } = await openDataset(join(folder, data));
      expect(train.targets.names).toEqual([name, 'y']);
      const shown = name.includes(',') ? cell(name) : name.replace('\u202e', '\\u202e');
      expect(found).toContain(`2 classes (${shown}, y)`);
    }
  },
);
