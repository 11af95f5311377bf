import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { DataError } from '../src/data-error.ts';
import { openDataset } from '../src/node/open-dataset.ts';
import { type Case, golden, named, objects, table } from './fault-cases.ts';
import { type Files, folderOf } from './temporary-folder.ts';

const picture = golden('color-6x4.png');
const withCell = (cell: string): string => `a,b,label\n1,2,x\n3,${cell},y\n5,6,x\n7,8,y\n`;

/** Folders that are refused. In messages, FOLDER stands for the folder's path, NAME for its name. */
const folders: readonly Case<Files>[] = [
  [
    'nothing in it',
    {},
    'FOLDER: expected four IDX files, train.csv and test.csv, or a folder of pictures for each class, got an empty folder',
  ],
  [
    'one table',
    { 'iris.csv': table, '.git/x': '' },
    'FOLDER: expected four IDX files, train.csv and test.csv, or a folder of pictures for each class, got iris.csv: give the file itself, FOLDER/iris.csv',
  ],
  [
    'pictures in no class',
    { '1.png': picture, 'empty/': '' },
    'NAME: expected a folder of PNG, JPEG or WebP pictures for each of at least 2 classes, got none beside 1.png',
  ],
  [
    'one class',
    { 'cat/1.png': picture, 'cat/2.png': picture },
    'NAME: expected a folder of PNG, JPEG or WebP pictures for each of at least 2 classes, got 1 (cat)',
  ],
  [
    'a corrupt picture',
    { 'cat/1.png': picture, 'cat/2.png': picture, 'dog/1.png': picture, 'dog/2.png': picture.subarray(0, 60) },
    'NAME/dog/2.png: expected a PNG, JPEG or WebP picture, got one that cannot be read: it is damaged',
  ],
  [
    'an empty picture',
    { 'cat/1.png': picture, 'cat/2.png': '', 'dog/1.png': picture, 'dog/2.png': picture },
    'NAME/cat/2.png: expected a PNG, JPEG or WebP picture, got one that cannot be read: it is empty',
  ],
  [
    'another file with the name of a picture',
    { 'cat/1.png': picture, 'cat/2.jpg': '<svg/>', 'dog/1.png': picture, 'dog/2.png': picture },
    'NAME/cat/2.jpg: expected a PNG, JPEG or WebP picture, got one that cannot be read: its first bytes are those of another format',
  ],
  [
    'a class to test with alone',
    { 'train/a/1.png': picture, 'train/b/1.png': picture, 'test/c/1.png': picture },
    'NAME/test/c/1.png: expected one of the classes to train with (a, b), got c',
  ],
  [
    'too few pictures to split',
    { 'a/1.png': picture, 'b/1.png': picture },
    'NAME: expected at least two samples of a class, one to train with and one to test with, got 2',
  ],
  [
    'too many pixels',
    { 'a/1.png': picture, 'a/2.png': picture, 'b/1.png': picture, 'b/2.png': picture },
    'NAME: expected at most 2 GiB of pixels, got 4.5 GiB for 4 pictures of 20000 x 20000: give a smaller size, such as --size 64x64',
    { size: { width: 20_000, height: 20_000 } },
  ],
  [
    'a label for pictures',
    { 'a/1.png': picture, 'b/1.png': picture },
    'NAME: expected no label for pictures, got "a"',
    { label: 'a' },
  ],
  [
    'a task for IDX files',
    { 'train-images-idx3-ubyte': '' },
    'NAME: expected no task for IDX files, got "regression"',
    { task: 'regression' },
  ],
  [
    'a test table without the label',
    { 'train.csv': table, 'test.csv': 'a,b\n1,2\n' },
    'test.csv: expected a column "label", the label, got a, b',
  ],
  [
    'a class in the test table alone',
    { 'train.csv': table, 'test.csv': 'a,b,label\n1,2,z\n' },
    'test.csv: line 2, column label: expected one of the classes to train with (x, y), got "z"',
  ],
  [
    'a category in the test table alone',
    { 'train.csv': 'a,label\nred,x\nblue,y\n', 'test.csv': 'a,label\ngreen,x\n' },
    'test.csv: line 2, column a: expected one of the categories to train with (blue, red), got "green"',
  ],
  [
    'a number whose square is out of range',
    { 'train.csv': withCell('1e200'), 'test.csv': table },
    'train.csv: line 3, column b: expected a number with a finite square, got 1e+200',
  ],
  [
    'a number to test with that is out of range once it is scaled',
    { 'train.csv': table, 'test.csv': withCell('1e200') },
    'test.csv: line 3, column b: expected a number that float32 can hold once it is scaled, got 1e+200',
  ],
  [
    'arrays of another shape to test with',
    {
      'train.jsonl': objects('{"sample":[1],"label":"x"}', '{"sample":[2],"label":"y"}'),
      'test.jsonl': objects('{"sample":[1,2],"label":"x"}'),
    },
    'test.jsonl: expected arrays of 1, as in train.jsonl, got 2',
  ],
];

describe('a folder is refused with', () => {
  it.each(named(folders))('$what', async ({ content, message, options }) => {
    const folder = folderOf(content);
    const expected = message.replaceAll('FOLDER', folder).replaceAll('NAME', folder.split('/').at(-1)!);
    await expect(openDataset(folder, options)).rejects.toThrow(new DataError(expected));
  });
});

describe('a path', () => {
  it('is refused where there is nothing', async () => {
    const path = join(folderOf({}), 'nowhere.csv');
    await expect(openDataset(path)).rejects.toThrow(
      new DataError(`${path}: expected a file or a folder with data, got nothing there`),
    );
  });

  it('may lead to a gzip file, and to a pair of tables', async () => {
    const folder = folderOf({ 'x.csv.gz': gzipSync(table), 'pair/train.tsv': table, 'pair/test.tsv': table });
    const { train, test } = await openDataset(join(folder, 'x.csv.gz'));
    expect([train.count, test.count]).toEqual([2, 2]);
    const pair = await openDataset(join(folder, 'pair'));
    expect(pair.found).toBe(
      'train.tsv and test.tsv: 8 rows, 2 numbers each, 2 classes (x, y) in column label; 4 to train, 4 to test',
    );
    expect(pair.test).toEqual(pair.train);
  });
});
