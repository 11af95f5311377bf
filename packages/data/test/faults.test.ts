/** Faulty data: each file and folder is refused in one sentence. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { DataError } from '../src/data-error.ts';
import { type OpenOptions, openDataset } from '../src/node/open-dataset.ts';
import { type Files, folderOf } from './temporary-folder.ts';

const golden = (name: string): Uint8Array => readFileSync(new URL(`../goldens/${name}`, import.meta.url));
const table = 'a,b,label\n1,2,x\n3,4,y\n5,6,x\n7,8,y\n';
const objects = (...lines: readonly string[]): string => lines.join('\n');

/** The fault, the file's content, the error message after the file's name, and the options to open the file with. */
type Case<Content = string | Uint8Array> = readonly [
  what: string,
  content: Content,
  message: string,
  options?: OpenOptions,
];

function named<Content>(cases: readonly Case<Content>[]) {
  return cases.map(([what, content, message, options = {}]) => ({ what, content, message, options }));
}

const picture = golden('color-6x4.png');
const numbered = (count: number, row: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => `${row(index)}\n`).join('');
const fillIn = 'fill missing values in with --missing median, mean or most-frequent';
const leaveOut = 'drop such rows with --missing drop';
const missing = (where: string): string =>
  `expected no missing values, got some in ${where}: ${fillIn}, ${leaveOut}, or ignore columns with --ignore`;
const withCell = (cell: string): string => `a,b,label\n1,2,x\n3,${cell},y\n5,6,x\n7,8,y\n`;

const csv: readonly Case[] = [
  ['an empty file', '', 'expected a header row and rows of values, got an empty file'],
  ['blank lines alone', ' \n\n', 'expected a header row and rows of values, got an empty file'],
  ['a header row alone', 'a,b,label\n', 'expected rows of values, got only a header row'],
  [
    'no header row',
    '1,2.5,3\n4,5,6\n',
    'line 1: expected a header row with the names of the columns, got only numbers ("1 2.5 3")',
  ],
  [
    'two columns of one name',
    'a,b,a\n1,2,3\n',
    'line 1: expected a different name for each column, got "a" for columns 1 and 3',
  ],
  ['a column without a name', 'a,,label\n1,2,x\n', 'line 1: expected a name for column 2, got none'],
  [
    'a first column without a name',
    ',b,label\n3,2,x\n',
    'line 1: expected a name for column 1, got none, and it does not count the rows',
  ],
  [
    'a row that is too short',
    'a,b,label\n1,2,x\n\n"3\n",y\n',
    'line 4: expected 3 values, as the header row has, got 2',
  ],
  [
    'a row that is too long for one column',
    'label\n1\n2,3\n',
    'line 3: expected 1 value, as the header row has, got 2',
  ],
  ['a row that is too long', 'a;b;label\n1;2;x\n3;4;5;y\n', 'line 3: expected 3 values, as the header row has, got 4'],
  [
    'a quote that is not closed',
    'a,b,label\n1,2,x\n3,"4,y\n5,6,x\n',
    'line 3: expected a quote at the end of a cell that begins with one, got none',
  ],
  [
    'text after a closing quote',
    'a,b,label\n1,"2"3,x\n4,5,y\n',
    'line 2: expected the end of a cell after its closing quote, got more of it',
  ],
  ['a missing value', withCell(''), `line 3, column b: expected a finite number, got none: ${fillIn}, or ${leaveOut}`],
  [
    'a missing value that is written out',
    withCell('NA'),
    `line 3, column b: expected a finite number, got "NA": ${fillIn}, or ${leaveOut}`,
  ],
  ['NaN', withCell('NaN'), `line 3, column b: expected a finite number, got "NaN": ${fillIn}, or ${leaveOut}`],
  [
    'missing values in several columns',
    'a,b,label\n,x,u\n1,,v\n-,x,u\n2,y,v\n',
    missing('a (2 of 4 rows), b (line 3)'),
  ],
  ['a missing label as well', 'a,label\n,u\n1,\n2,v\n', missing('a (line 2), label (line 3)')],
  [
    'missing values in every row, with --missing drop',
    'a,b,label\n,x,u\n1,,v\n',
    'expected a row without missing values, got none',
    { missing: 'drop' },
  ],
  [
    'a column without values',
    'a,b,label\n1,,u\n2,,v\n',
    'column b: expected numbers or at most 256 categories, got no values: ignore it with --ignore b',
    { missing: 'mean' },
  ],
  [
    'several texts among numbers',
    'a,label\n1,u\nx,v\n2,u\n3,v\ny,u\n',
    'line 3, column a: expected a finite number, got "x" and 1 more texts: correct them, or ignore the column with --ignore a',
  ],
  [
    'several columns that cannot be used',
    `name,ticket,day,a,label\n${numbered(300, (index) => `n ${index},${index % 3 ? index : `A ${index}`},20${10 + (index % 30)}-1-${1 + Math.floor(index / 30)},2,${index % 2}`)}`,
    'expected columns of numbers or of at most 256 categories, got name (300 texts such as "n 0"), ticket ("A 0" in line 2 and 99 more among numbers), day (300 dates such as "2010-1-1"): ignore them with --ignore name,ticket,day',
  ],
  [
    'no header row before texts',
    '5.1,3.5,setosa\n4.9,3.0,setosa\n',
    'line 1: expected a header row with the names of the columns, got what looks like a row of data ("5.1 3.5 setosa")',
  ],
  [
    'whole numbers and a text of its column in place of names',
    '1,0,male\n2,1,female\n3,0,male\n',
    'line 1: expected a header row with the names of the columns, got what looks like a row of data ("1 0 male")',
  ],
  [
    'equal numbers in place of names',
    '1,1,male\n2,1,female\n',
    'line 1: expected a header row with the names of the columns, got what looks like a row of data ("1 1 male")',
  ],
  ['an infinite number', withCell('-inf'), 'line 3, column b: expected a finite number, got "-inf"'],
  ['a number out of range', withCell('1e999'), 'line 3, column b: expected a finite number, got "1e999"'],
  ['a text among numbers', withCell('four'), 'line 3, column b: expected a finite number, got "four"'],
  [
    'a missing category',
    'a,label\nred,x\nblue,y\n,x\nred,y\n',
    `line 4, column a: expected a category, got none: ${fillIn}, or ${leaveOut}`,
  ],
  [
    'a column of different texts',
    `a,label\n${numbered(300, (index) => `text ${index},${index % 2}`)}`,
    'column a: expected numbers or at most 256 categories, got 300 texts such as "text 0": ignore it with --ignore a',
  ],
  [
    'numbers with thousands separators',
    'a,b,label\n"1,234",1,x\n"999",2,y\n"12,345.6",3,x\n,4,y\n',
    'column a: expected numbers or at most 256 categories, got 3 numbers with thousands separators such as "1,234": remove the separators, or ignore it with --ignore a',
  ],
  [
    'a class that is not repeated, whose name has a comma',
    'a,label\n1,"no, not"\n2,"no, not"\n',
    'column label: expected at least 2 classes, got 1 ("no, not")',
  ],
  [
    'no label column of that name',
    table,
    'expected a column "species" for the label, got the columns a, b, label',
    { label: 'species' },
  ],
  [
    'no column of that name to leave out',
    table,
    'expected a column "id" to ignore, got the columns a, b, label',
    { ignore: ['id'] },
  ],
  [
    'a missing label',
    'a,label\n1,x\n2,\n3,y\n',
    'line 3, column label: expected a label, got none: drop such rows with --missing drop',
  ],
  ['one class', 'a,label\n1,x\n2,x\n', 'column label: expected at least 2 classes, got 1 (x)'],
  [
    'a class for each row',
    `a,label\n${numbered(20, (index) => `${index},text ${index}`)}`,
    'column label: expected classes of several rows each, got 20 different texts in 20 rows, such as "text 0": choose the column of the label with --label',
  ],
  [
    'measurements as classes',
    `a,label\n${numbered(20, (index) => `${index},${index / 4}`)}`,
    'column label: expected classes, got 20 different numbers from 0 to 4.75: learn the numbers themselves with --task regression',
  ],
  [
    'whole numbers that are mostly different as classes',
    `a,label\n${numbered(20, (index) => `${index},${index}`)}`,
    'column label: expected classes, got 20 different numbers from 0 to 19: learn the numbers themselves with --task regression',
  ],
  [
    'classes that are larger than exact numbers',
    `a,label\n${numbered(20, (index) => `${index},${9_007_199_254_740_992n + BigInt(index % 2)}`)}`,
    'line 2, column label: expected a class: a text, or a number up to 2^53 - 1, got 9007199254740992',
  ],
  ['texts as values', table, 'line 2, column label: expected a finite number, got "x"', { task: 'regression' }],
  [
    'values beyond float32',
    'a,label\n1,1e39\n2,3\n',
    'line 2, column label: expected a number that float32 can hold, got 1e+39',
    { task: 'regression' },
  ],
  [
    'nothing beside the label',
    'label\nx\ny\n',
    'expected at least one column besides the label "label", got none: columns are separated by commas, semicolons or tabs',
  ],
  [
    'too few samples to split',
    'a,label\n1,x\n2,y\n',
    'expected at least two samples of one class, one for training and one for testing, got 2 in all',
  ],
  [
    'other bytes than UTF-8',
    Uint8Array.of(...Buffer.from('a,label\n1,x\n2,'), 0xe9, 0x0a),
    'expected UTF-8 text, got other bytes in line 3: save it as UTF-8',
  ],
  ['UTF-16', Buffer.from('\ufeffa,label\n1,x\n', 'utf16le'), 'expected UTF-8 text, got UTF-16LE: save it as UTF-8'],
  ['NUL bytes', 'a,label\n1,\0\n', 'expected UTF-8 text, got a file with NUL bytes: is it text?'],
  ['a size', table, 'the option size does not apply to a file of rows: omit it', { size: { width: 4, height: 4 } }],
  [
    'a spreadsheet',
    Uint8Array.of(0x50, 0x4b, 3, 4, 0),
    'expected CSV, TSV, JSON Lines or Parquet, got a ZIP archive, such as an .xlsx or a .pt: unpack it, or save it as CSV',
  ],
  [
    'an old spreadsheet',
    Uint8Array.of(0xd0, 0xcf, 0x11, 0xe0, 0),
    'expected CSV, TSV, JSON Lines or Parquet, got an old Office file, such as an .xls: save it as CSV',
  ],
  ['a PDF', '%PDF-1.7\n', 'expected CSV, TSV, JSON Lines or Parquet, got a PDF: save it as text or CSV'],
  [
    'a picture',
    picture,
    'expected CSV, TSV, JSON Lines or Parquet, got a PNG picture: give the folder with a folder of pictures for each class',
  ],
  [
    'half of a gzip file',
    gzipSync(table).subarray(0, 30),
    'expected gzip data, got a corrupt file (unexpected end of file)',
  ],
];

const jsonLines: readonly Case[] = [
  ['a list', '[{"a":1}]', 'expected an object in each line, got a JSON list: save it as JSON Lines'],
  [
    'a line that is no JSON',
    objects('{"a":1,"label":"x"}', '', '{"a":NaN,"label":"y"}'),
    'line 3: expected a JSON object, got "{\\"a\\":NaN,\\"label\\":\\"y\\"}"',
  ],
  ['a line that is no object', objects('{"a":1,"label":"x"}', '3'), 'line 2: expected a JSON object, got "3"'],
  [
    'a key that the first line has not',
    objects('{"a":1,"label":"x"}', '{"b":1,"label":"x"}'),
    'line 2: expected the keys of the first line (a, label), got "b" as well',
  ],
  [
    'a missing key',
    objects('{"a":1,"label":"x"}', '{"label":"x"}', '{"a":2,"label":"y"}', '{"a":2,"label":"y"}'),
    `line 2, column a: expected a finite number, got none: ${fillIn}, or ${leaveOut}`,
  ],
  ['a list in a column', objects('{"a":[1],"label":"x"}'), 'line 1, a: expected a number or a text, got a list'],
  [
    'a ragged array',
    objects('{"features":[[1,2],[3,4]],"label":"x"}', '{"features":[[1,2],[3]],"label":"y"}'),
    'line 2, features: expected a list of 2, got one of 1',
  ],
  [
    'no array in a line',
    objects('{"sample":[1],"label":"x"}', '{"label":"y"}'),
    'line 2, sample: expected a list of 1, got undefined',
  ],
  [
    'a text in an array',
    objects('{"sample":[1],"label":"x"}', '{"sample":["2"],"label":"y"}'),
    'line 2, sample: expected finite numbers, got "2"',
  ],
  ['null in an array', objects('{"sample":[null],"label":"x"}'), 'line 1, sample: expected finite numbers, got null'],
  [
    'one class of arrays',
    objects('{"sample":[1],"label":"x"}', '{"sample":[2],"label":"x"}'),
    'column label: expected at least 2 classes, got 1 (x)',
  ],
  [
    'no label',
    objects('{"sample":[1]}', '{"sample":[2]}'),
    'line 1: expected an object with a label, got sample alone',
  ],
];

const parquet: readonly Case[] = [
  [
    'nested values',
    golden('nested.parquet'),
    'column features: expected a number or a text in each row, got nested values',
  ],
  [
    'a missing value',
    golden('types.parquet'),
    `row 3, column text: expected a category, got none: ${fillIn}, or ${leaveOut}`,
    { label: 'label' },
  ],
  ['bytes that are no text', golden('bytes.parquet'), 'row 2, column code: expected a number or a text, got 2 bytes'],
  [
    'a time beyond all dates',
    golden('far-time.parquet'),
    'row 2, column seen: expected a number or a text, got a time that a Date cannot hold',
  ],
  [
    'half of it',
    golden('iris-snappy.parquet').subarray(0, 2000),
    'expected a Parquet file, got one that cannot be read: parquet file invalid (footer != PAR1)',
  ],
];

describe.each([
  ['x.csv', csv],
  ['x.jsonl', jsonLines],
  ['x.parquet', parquet],
])('%s is refused with', (name, cases) => {
  it.each(named(cases))('$what', async ({ content, message, options }) => {
    const file = join(folderOf({ [name]: content }), name);
    await expect(openDataset(file, options)).rejects.toThrow(new DataError(`${name}: ${message}`));
  });
});

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
    'NAME: expected a folder of PNG, JPEG or WebP pictures for each of at least 2 classes, got none, and ignored 1.png',
  ],
  [
    'one class',
    { 'cat/1.png': picture, 'cat/2.png': picture },
    'NAME: expected a folder of PNG, JPEG or WebP pictures for each of at least 2 classes, got 1 (cat)',
  ],
  [
    'a corrupt picture',
    { 'cat/1.png': picture, 'cat/2.png': picture, 'dog/1.png': picture, 'dog/2.png': picture.subarray(0, 60) },
    'NAME/dog/2.png: expected a PNG, JPEG or WebP picture, got a file that cannot be read: it is damaged; use --skip-bad to continue without it',
  ],
  [
    'an empty picture',
    { 'cat/1.png': picture, 'cat/2.png': '', 'dog/1.png': picture, 'dog/2.png': picture },
    'NAME/cat/2.png: expected a PNG, JPEG or WebP picture, got a file that cannot be read: it is empty; use --skip-bad to continue without it',
  ],
  [
    'another file with the name of a picture',
    { 'cat/1.png': picture, 'cat/2.jpg': 'a text', 'dog/1.png': picture, 'dog/2.png': picture },
    'NAME/cat/2.jpg: expected a PNG, JPEG or WebP picture, got a file that cannot be read: its format is unknown; use --skip-bad to continue without it',
  ],
  [
    'a class to test with alone',
    { 'train/a/1.png': picture, 'train/b/1.png': picture, 'test/c/1.png': picture },
    'NAME/test/c/1.png: expected one of the known classes (a, b), got c',
  ],
  [
    'too few pictures to split',
    { 'a/1.png': picture, 'b/1.png': picture },
    'NAME: expected at least two samples of one class, one for training and one for testing, got 2 in all',
  ],
  [
    'too many pixels',
    { 'a/1.png': picture, 'a/2.png': picture, 'b/1.png': picture, 'b/2.png': picture },
    'NAME: expected at most 2 GiB of pixels, got 4.5 GiB for 4 pictures of 20000 x 20000: use --size 64x64 or less',
    { size: { width: 20_000, height: 20_000 } },
  ],
  [
    'a label for pictures',
    { 'a/1.png': picture, 'b/1.png': picture },
    'NAME: the option label does not apply to pictures: omit it',
    { label: 'a' },
  ],
  [
    'a task for IDX files',
    { 'train-images-idx3-ubyte': '' },
    'NAME: the option task does not apply to IDX files: omit it',
    { task: 'regression' },
  ],
  [
    'a test table without a column',
    { 'train.csv': table, 'test.csv': 'a,label\n1,x\n' },
    'test.csv: expected a column "b" for the model, got the columns a, label',
    { label: 'label' },
  ],
  [
    'a missing value in the test table alone',
    { 'train.csv': table, 'test.csv': withCell('') },
    `test.csv: line 3, column b: expected a finite number, got none: ${fillIn}, or ${leaveOut}`,
  ],
  [
    'missing values of pictures',
    { 'a/1.png': picture, 'b/1.png': picture },
    'NAME: the option missing does not apply to pictures: omit it',
    { missing: 'drop' },
  ],
  [
    'a class in the test table alone',
    { 'train.csv': table, 'test.csv': 'a,b,label\n1,2,z\n' },
    'test.csv: line 2, column label: expected one of the known classes (x, y), got "z"',
  ],
  [
    'a category in the test table alone',
    { 'train.csv': 'a,label\nred,x\nblue,y\n', 'test.csv': 'a,label\ngreen,x\n' },
    'test.csv: line 2, column a: expected one of the known categories (blue, red), got "green"',
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
    await expect(openDataset(path)).rejects.toThrow(new DataError(`${path}: no such file or folder`));
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
