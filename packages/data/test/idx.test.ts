import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DataError } from '../src/data-error.ts';
import { classTargets, samplesOf } from '../src/dataset.ts';
import { joinDataset, parseImages, parseLabels } from '../src/node/mnist.ts';
import { imagesFile, labelsFile } from './files.ts';

describe('parseImages', () => {
  it('returns what an IDX file holds, wherever the file lies in memory', () => {
    const shape = fc.record({
      count: fc.integer({ min: 1, max: 6 }),
      rows: fc.integer({ min: 1, max: 5 }),
      columns: fc.integer({ min: 1, max: 5 }),
      offset: fc.nat(9),
    });
    fc.assert(
      fc.property(shape, fc.infiniteStream(fc.nat(255)), ({ count, rows, columns, offset }, bytes) => {
        const pixels = Uint8Array.from([...bytes.take(count * rows * columns)]);
        const file = imagesFile(count, rows, columns, pixels);
        const moved = new Uint8Array(offset + file.length);
        moved.set(file, offset);
        const images = parseImages(moved.subarray(offset), 'some images');
        expect(images).toEqual({ name: 'some images', count, rows, columns, channels: 1, pixels });
      }),
    );
  });

  it.each([
    ['nothing', new Uint8Array(0), 'x: truncated: expected a header of 16 bytes, got 0'],
    ['half a header', imagesFile(1, 2, 2).subarray(0, 10), 'x: truncated: expected a header of 16 bytes, got 10'],
    [
      'a pixel too few',
      imagesFile(3, 2, 2).subarray(0, 27),
      'x: truncated: expected 3 x 2 x 2 bytes after its header, got 11',
    ],
    [
      'a byte too many',
      new Uint8Array([...imagesFile(1, 2, 2), 0]),
      'x: too long: expected 1 x 2 x 2 bytes after its header, got 5',
    ],
    [
      'labels',
      labelsFile([1, 2, 3]),
      'x: expected images (magic 0x00000803), got labels (magic 0x00000801): are two files swapped?',
    ],
    [
      'something else',
      new TextEncoder().encode('<!doctype html>'),
      'x: expected an IDX file of images (magic 0x00000803), got magic 0x3c21646f',
    ],
    ['no image', imagesFile(0, 28, 28), 'x: expected images, got none: its dimensions are 0 x 28 x 28'],
    [
      'a claim of almost 2^96 pixels',
      new Uint8Array([0, 0, 8, 3, ...new Array<number>(12).fill(255)]),
      'x: truncated: expected 4294967295 x 4294967295 x 4294967295 bytes after its header, got 0',
    ],
  ])('refuses %s', (_name, file, message) => {
    expect(() => parseImages(file, 'x')).toThrow(new DataError(message));
  });
});

describe('parseLabels', () => {
  it('returns what an IDX file holds', () => {
    expect(parseLabels(labelsFile([3, 1, 4]), 'y')).toEqual({ name: 'y', count: 3, labels: Uint8Array.of(3, 1, 4) });
  });

  it.each([
    [
      'images',
      imagesFile(1, 2, 2),
      'y: expected labels (magic 0x00000801), got images (magic 0x00000803): are two files swapped?',
    ],
    [
      'a label too few',
      labelsFile([1, 2, 3]).subarray(0, 10),
      'y: truncated: expected 3 bytes after its header, got 2',
    ],
    ['half a header', labelsFile([1]).subarray(0, 7), 'y: truncated: expected a header of 8 bytes, got 7'],
    ['no label', labelsFile([]), 'y: expected labels, got none: its dimensions are 0'],
  ])('refuses %s', (_name, file, message) => {
    expect(() => parseLabels(file, 'y')).toThrow(new DataError(message));
  });
});

describe('joinDataset', () => {
  const images = parseImages(imagesFile(3, 2, 4), 'x');

  it('takes images and labels together', () => {
    const labels = parseLabels(labelsFile([0, 9, 5]), 'y');
    expect(joinDataset(images, labels, 10)).toEqual({
      samples: samplesOf(images.pixels, [images.rows, images.columns, 1]),
      count: 3,
      targets: classTargets(Uint16Array.of(0, 9, 5), [...'0123456789']),
    });
  });

  it('refuses another number of labels', () => {
    const labels = parseLabels(labelsFile([0, 9]), 'y');
    expect(() => joinDataset(images, labels, 10)).toThrow(
      new DataError('y: expected 3 labels, one for each image of x, got 2'),
    );
  });

  it('refuses a label out of range', () => {
    const labels = parseLabels(labelsFile([0, 9, 10]), 'y');
    expect(() => joinDataset(images, labels, 10)).toThrow(
      new DataError('y: expected labels from 0 to 9, as in the training labels, got 10 at sample 2'),
    );
    expect(joinDataset(images, labels, 11).targets.names).toHaveLength(11);
  });
});
