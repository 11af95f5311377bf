/** Reads files in a page, for the test that compares their samples with Node's. */
import {
  datasetFromTable,
  type OpenedDataset,
  openPageDecoder,
  parseDelimited,
  parseParquet,
  readPictures,
} from '../src/readers.ts';

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

Object.assign(globalThis, { readTable, readFolder });
