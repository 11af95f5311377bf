import { readFileSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { classTargets, samplesOf } from '../src/dataset.ts';
import { openDataset } from '../src/node/open-dataset.ts';
import { openSharpDecoder } from '../src/node/sharp-decoder.ts';
import { type PictureDecoder, pictureTree, readPictures } from '../src/pictures/read-pictures.ts';
import { formatFaults, pictureFormats } from './picture-formats.ts';
import { type Files, folderOf } from './temporary-folder.ts';

const golden = (name: string): Uint8Array => readFileSync(new URL(`../goldens/${name}`, import.meta.url));
const color = golden('color-6x4.png');
const gray = golden('gray-6x4.png');
const grayWebp = golden('gray-6x4.webp');
const grayAsColor = golden('gray-as-color-6x4.png');

/** The pixels that make_goldens.py wrote. */
const colorPixels = Uint8Array.from({ length: 72 }, (_, index) => 3 * index);
const grayPixels = Uint8Array.from({ length: 24 }, (_, index) => 9 * index);

const parts = (files: Files): Files =>
  Object.fromEntries(
    Object.entries(files).flatMap(([path, content]) => [
      [`train/${path}`, content],
      [`test/${path}`, content],
    ]),
  );
const nameOf = (folder: string): string => folder.split('/').at(-1)!;

describe('a folder of pictures', () => {
  it.each<[string, Files, number[], Uint8Array, string]>([
    ['color', { 'a/1.png': color, 'b/1.png': color }, [4, 6, 3], colorPixels, '6 x 4, color'],
    ['gray', { 'a/1.png': gray, 'b/1.webp': grayWebp }, [4, 6, 1], grayPixels, '6 x 4, gray'],
    ['gray, written as color', { 'a/1.png': grayAsColor, 'b/1.png': gray }, [4, 6, 1], grayPixels, '6 x 4, gray'],
  ])('gives the pixels of a file, all of one size, %s', async (_, files, shape, pixels, text) => {
    const folder = folderOf(parts(files));
    const { train, test, found } = await openDataset(folder);
    expect(train).toEqual({
      samples: samplesOf(Uint8Array.of(...pixels, ...pixels), shape),
      count: 2,
      targets: classTargets(Uint16Array.of(0, 1), ['a', 'b']),
    });
    expect(test).toEqual(train);
    expect(found).toBe(`${nameOf(folder)}: 4 pictures, 2 classes (a, b), ${text}; 2 to train, 2 to test`);
  });

  it('gives gray pictures three equal channels beside ones with colors', async () => {
    const { train } = await openDataset(folderOf(parts({ 'a/1.png': color, 'b/1.png': gray })));
    expect(train.samples.values).toEqual(
      Uint8Array.of(...colorPixels, ...Array.from(grayPixels, (value) => [value, value, value]).flat()),
    );
  });

  it('cuts, adds edges or stretches where the shape differs', async () => {
    const folder = folderOf(parts({ 'a/1.png': color, 'b/1.png': color }));
    const size = { width: 4, height: 4 };
    const cut = await openDataset(folder, { size });
    const middle = [...colorPixels].filter((_, index) => index % 18 >= 3 && index % 18 < 15);
    expect([...cut.train.samples.values.subarray(0, 48)]).toEqual(middle);
    expect(cut.found).toContain('scaled to 4 x 4 (cover), color');
    const contained = await openDataset(folder, { size: { width: 6, height: 8 }, fit: 'contain' });
    const black = Array.from({ length: 36 }, () => 0);
    expect([...contained.train.samples.values.subarray(0, 144)]).toEqual([...black, ...colorPixels, ...black]);
    const stretched = await openDataset(folder, { size, fit: 'stretch', gray: true });
    expect(stretched.train.samples.shape).toEqual([4, 4, 1]);
    expect(stretched.found).toContain('scaled to 4 x 4 (stretch), gray');
  });

  it('has the size of most pictures, or 32 x 32 where there is none', async () => {
    const sharp = (await import('sharp')).default;
    const small = await sharp(color).resize(2, 2).png().toBuffer();
    const most = await openDataset(
      folderOf({ 'a/1.png': color, 'a/2.png': color, 'b/1.png': color, 'b/2.png': small }),
    );
    expect(most.train.samples.shape).toEqual([4, 6, 3]);
    const half = await openDataset(
      folderOf({ 'a/1.png': color, 'a/2.png': small, 'b/1.png': color, 'b/2.png': small }),
    );
    expect(half.train.samples.shape).toEqual([32, 32, 3]);
  });

  it.each(pictureFormats)('handles $name, or refuses it by name', async (format) => {
    const decoder = await openSharpDecoder();
    const decode = async (bytes: Uint8Array) => {
      const { width, height } = await decoder.describe(bytes);
      const pixels = await decoder.decode(bytes, { width, height, channels: 3, fit: 'stretch' });
      return { size: [width, height], pixels: [...pixels] };
    };
    const decoded = await decode(await format.bytes()).catch((error: Error) => error.message);
    expect(formatFaults(format, decoded)).toEqual([]);
  });

  it('skips those that cannot be read on request, and names the first few', async () => {
    const bad = { 'a/0.heic': '....ftypheic', 'a/2.png': '', 'b/9.png': color.subarray(0, 60), 'b/8.jpg': 'x' };
    const folder = folderOf({ 'a/1.png': color, 'a/3.png': color, 'b/1.png': color, 'b/2.png': color, ...bad });
    await expect(openDataset(folder)).rejects.toThrow(/cannot be read: .*; use --skip-bad to continue without it$/);
    const { train, test, found } = await openDataset(folder, { skipBad: true });
    expect([train.count, test.count]).toEqual([2, 2]);
    expect(found).toMatch(
      /; skipped 4 pictures that cannot be read \(a\/0\.heic: HEIC pictures must be converted first, a\/2\.png: it is empty, b\/8\.jpg: its format is unknown, …\)$/,
    );
  });

  it('passes over hidden files and those of systems, takes nested folders, and names what it leaves out', async () => {
    const files = {
      'a/1.png': gray,
      'a/deep/er/2.PNG': gray,
      'b/1.png': gray,
      'b/2.png': gray,
      'b/notes.txt': 'x',
      '0.png': gray,
      'a/Thumbs.db': 'x',
      'b/desktop.ini': 'x',
      '.DS_Store': 'x',
      'a/.hidden.png': 'x',
      '.git/1.png': 'x',
      '__MACOSX/a/1.png': 'x',
    };
    const { train, test, found } = await openDataset(folderOf(files));
    expect([train.count, test.count]).toEqual([2, 2]);
    expect(found).toMatch(/; ignored 2 other files \(0\.png, b\/notes\.txt\)$/);
  });

  it('does not depend on the order in which the file system lists files', async () => {
    const paths = ['b/1.png', 'a/10.png', 'a/9.png', 'B/1.png', 'a/deep/1.png', 'é/1.png', 'notes.txt'];
    const treeOf = (order: readonly string[]) =>
      pictureTree(
        order.map((path) => ({ path, read: async () => gray })),
        'x',
      );
    const plain = (order: readonly string[]) => {
      const { train, leftOut } = treeOf(order);
      return [train.map(({ path, className }) => [path, className]), leftOut];
    };
    fc.assert(
      fc.property(fc.shuffledSubarray(paths, { minLength: paths.length }), (order) => {
        expect(plain(order)).toEqual(plain(paths));
      }),
    );
  });

  it('has at most eight files of 60,000 in hand', async () => {
    let inHand = 0;
    let most = 0;
    const held = async <Value>(value: Value): Promise<Value> => {
      await setImmediate();
      inHand -= 1;
      return value;
    };
    const read = async () => {
      inHand += 1;
      most = Math.max(most, inHand);
      return new Uint8Array(1);
    };
    const decoder: PictureDecoder = {
      describe: () => held({ width: 2, height: 1, isGray: async () => true }),
      decode: () => held(Uint8Array.of(1, 2)),
    };
    const files = Array.from({ length: 60_000 }, (_, index) => ({ path: `${index % 10}/${index}.png`, read }));
    const { train, test } = await readPictures(files, 'many', decoder);
    expect([train.count, test.count, inHand, most]).toEqual([48_000, 12_000, 0, 8]);
    expect(train.samples.values.every((value, index) => value === 1 + (index % 2))).toBe(true);
  });
});
