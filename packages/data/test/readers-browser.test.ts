/** A page reads tables and pictures, and gets the same samples as Node. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { findChromium, inChromium, openBuiltPage } from '@lockstep/chromium';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { augmentations, createAugmenter, scaledField } from '../src/index.ts';
import { openDataset } from '../src/node/open-dataset.ts';
import type { ReadInPage } from './page/page.ts';
import { type Decoded, formatFaults, pictureFormats } from './picture-formats.ts';
import { folderOf } from './temporary-folder.ts';

declare const window: {
  readTable(file: readonly number[], name: string): Promise<ReadInPage>;
  readFolder(files: Readonly<Record<string, readonly number[]>>): Promise<ReadInPage>;
  readBlobs(classes: Readonly<Record<string, readonly (readonly number[])[]>>): Promise<ReadInPage>;
  augmented(pictures: readonly number[]): number[];
  decoded(file: readonly number[]): Promise<Decoded>;
};

const executablePath = findChromium();
const root = fileURLToPath(new URL('./page/', import.meta.url));
const golden = (name: string): string => {
  const folder = name === 'iris.csv' ? '../../../docs' : '../goldens';
  return fileURLToPath(new URL(`${folder}/${name}`, import.meta.url));
};

describe.skipIf(!executablePath)(inChromium('readers'), { timeout: 300_000, retry: 1 }, () => {
  let opened: Awaited<ReturnType<typeof openBuiltPage>>;

  beforeAll(async () => {
    opened = await openBuiltPage({ root, executablePath: executablePath! });
  });

  afterAll(() => opened.close());

  it.each(['iris.csv', 'iris-zstd.parquet', 'iris-snappy.parquet'])('read %s as in Node', async (name) => {
    const { train, found } = await openDataset(golden(name));
    const bytes = [...readFileSync(golden(name))];
    const read = await opened.page.evaluate((given) => window.readTable(given.bytes, given.name), { bytes, name });
    expect(read).toEqual({ samples: [...train.samples.values], sampleShape: train.samples.shape, found });
    expect(opened.errors).toEqual([]);
  });

  it.each([
    ['in color', ['color-6x4.png', 'gray-6x4.webp']],
    ['in gray', ['gray-as-color-6x4.png', 'gray-6x4.png']],
  ])('read pictures %s as in Node', async (_, names) => {
    const files = names.flatMap((name, index) =>
      ['train', 'test'].map((part) => [`${part}/${index}/${name}`, readFileSync(golden(name))] as const),
    );
    const { train } = await openDataset(folderOf(Object.fromEntries(files)));
    const bytes = Object.fromEntries(files.map(([path, file]) => [path, [...file]]));
    const { samples, sampleShape } = await opened.page.evaluate((given) => window.readFolder(given), bytes);
    expect({ samples, sampleShape }).toEqual({ samples: [...train.samples.values], sampleShape: train.samples.shape });
  });

  it.each(pictureFormats)('handle $name, or refuse it by name', async (format) => {
    const bytes = [...(await format.bytes())];
    const decoded = await opened.page.evaluate((given) => window.decoded(given), bytes);
    expect(formatFaults(format, decoded)).toEqual([]);
  });

  it('take pictures by class', async () => {
    const bytes = [...readFileSync(golden('color-6x4.png'))];
    const read = await opened.page.evaluate(
      (given) => window.readBlobs({ cat: [given, given], 'a/b': [given, given] }),
      bytes,
    );
    expect(read.found).toContain('4 pictures, 2 classes (a∕b, cat), 6 x 4, color');
    const damaged = opened.page.evaluate(
      (given) => window.readBlobs({ cat: [given, given], dog: [given, [1]] }),
      bytes,
    );
    await expect(damaged).rejects.toThrow('datasetFromPictures/dog/000002.png: expected a PNG, JPEG or WebP picture');
  });

  it('augment pictures as in Node', async () => {
    const pictures = Array.from({ length: 108 * 50 }, (_, index) => (index * 37) % 256);
    const samples = Uint8Array.from(pictures);
    const numbers = Uint32Array.from({ length: 50 }, (_, index) => index);
    createAugmenter(scaledField([6, 6, 3]), augmentations, 1)(samples, numbers, 3);
    expect(await opened.page.evaluate((given) => window.augmented(given), pictures)).toEqual([...samples]);
  });

  it('name a damaged picture', async () => {
    const whole = [...readFileSync(golden('color-6x4.png'))];
    const files = { 'a/1.png': whole, 'a/2.png': whole, 'b/1.png': whole, 'b/2.png': whole.slice(0, 30) };
    await expect(opened.page.evaluate((given) => window.readFolder(given), files)).rejects.toThrow(
      'folder/b/2.png: expected a PNG, JPEG or WebP picture, got a file that cannot be read',
    );
  });
});
