/** Reads files in a page, for the test that compares their samples with Node's. */
import { augmentations, createAugmenter, scaledField } from '../../src/index.ts';
import {
  datasetFromPictures,
  datasetFromTable,
  type OpenedDataset,
  openPageDecoder,
  parseDelimited,
  parseParquet,
  readPictures,
} from '../../src/readers.ts';
import { errorMessage } from '../../src/shown.ts';
import type { Decoded } from '../picture-formats.ts';

export interface ReadInPage {
  readonly samples: number[];
  readonly sampleShape: readonly number[];
  readonly found: string;
}

function plain({ train, found }: OpenedDataset): ReadInPage {
  return { samples: [...train.samples.values], sampleShape: train.samples.shape, found };
}

async function readTable(file: readonly number[], name: string): Promise<ReadInPage> {
  const bytes = Uint8Array.from(file);
  return plain(datasetFromTable(name.endsWith('.csv') ? parseDelimited(bytes, name) : await parseParquet(bytes, name)));
}

async function readFolder(files: Readonly<Record<string, readonly number[]>>): Promise<ReadInPage> {
  const list = Object.entries(files).map(([path, bytes]) => ({ path, read: async () => Uint8Array.from(bytes) }));
  return plain(await readPictures(list, 'folder', openPageDecoder()));
}

async function decoded(file: readonly number[]): Promise<Decoded> {
  try {
    const decoder = openPageDecoder();
    const bytes = Uint8Array.from(file);
    const { width, height } = await decoder.describe(bytes);
    const pixels = await decoder.decode(bytes, { width, height, channels: 3, fit: 'stretch' });
    return { size: [width, height], pixels: [...pixels] };
  } catch (error) {
    return errorMessage(error);
  }
}

/** Reads blobs by class. */
async function readBlobs(classes: Readonly<Record<string, readonly (readonly number[])[]>>): Promise<ReadInPage> {
  const blobs = Object.entries(classes).map(([name, files]) => [
    name,
    files.map((bytes) => new Blob([Uint8Array.from(bytes)])),
  ]);
  return plain(await datasetFromPictures(Object.fromEntries(blobs)));
}

/** Random pictures, augmented in every way. */
function augmented(pictures: readonly number[]): number[] {
  const samples = Uint8Array.from(pictures);
  const numbers = Uint32Array.from({ length: samples.length / 108 }, (_, index) => index);
  createAugmenter(scaledField([6, 6, 3]), augmentations, 1)(samples, numbers, 3);
  return [...samples];
}

Object.assign(globalThis, { readTable, readFolder, readBlobs, augmented, decoded });
