/** Opens the user's own data: recognizes its format and reads it; needs Node. */
import { type Dirent, readdirSync, statSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { argumentKinds, checkArguments, checkKnown, DataError, maxFileBytes, unexpected } from '../data-error.ts';
import { FileError, readParts, shownPath } from '../named-files.ts';
import { type PictureFile, type PictureOptions, readPictures } from '../pictures/read-pictures.ts';
import { parseDelimited } from '../readers/delimited.ts';
import { labelColumn } from '../readers/features.ts';
import { type JsonLines, parseJsonLines } from '../readers/json-lines.ts';
import { parseParquet } from '../readers/parquet.ts';
import { listed, shownName, shownText, type TableFile } from '../readers/table.ts';
import {
  datasetFromJsonLines,
  foundLine,
  type OpenedDataset,
  partsText,
  type TableOptions,
} from '../readers/table-dataset.ts';
import { firstCharacter, startsWith, TextGate } from '../readers/text.ts';
import { datasetFromTexts, type TextOptions, type TextSource } from '../readers/text-dataset.ts';
import { adviceFor, fileKind, plural, shownLine } from '../shown.ts';
import { imageSizeText, loadMnist } from './mnist.ts';
import { asData, readFile, readUnpacked } from './read-unpacked.ts';
import { openSharpDecoder } from './sharp-decoder.ts';

/** How a file or folder is read: options for tables and for pictures. */
export type OpenOptions = TableOptions & PictureOptions & TextOptions;

const maxPictureBytes = 2 ** 28;
const idxName = /^(?:train|t10k)-(?:images|labels)[-.]idx[134]-ubyte(?:\.gz)?$/;
const tableName = /\.(?:csv|tsv|jsonl|ndjson|parquet)(?:\.gz)?$/i;
/** Options that only one kind of data has. */
const tableOptions = ['label', 'ignore', 'task', 'missing'] as const;
const pictureOptions = ['size', 'gray', 'fit', 'skipBad'] as const;
const textOptions = ['vocabulary', 'context', 'lines'] as const;
const allOptions: readonly (keyof OpenOptions)[] = [
  ...[...tableOptions, ...pictureOptions, ...textOptions],
  ...(['testFraction', 'seed', 'model', 'classes', 'like'] as const),
];
const textName = /\.(?:txt|md)(?:\.gz)?$/i;

/**
 * Reads the user's own data from a file or folder.
 * A file is CSV, TSV, JSON Lines or Parquet, recognized by its bytes. A folder contains four IDX files, `train` and
 * `test` of such a file, or a folder of pictures for each class. Without test samples, a seeded part is held out. A file
 * whose name ends with .txt or .md, or a folder of such files, is text; for a model of text, so is every file whose name
 * is not a table's. Any file of rows or text may be packed by gzip.
 * @throws DataError with one sentence that names the file and, if known, line and column
 */
export async function openDataset(path: string, options: OpenOptions = {}): Promise<OpenedDataset> {
  checkArguments('openDataset', [argumentKinds.path, path], [argumentKinds.options, options]);
  checkKnown('openDataset', options, allOptions);
  if (!isDirectory(path)) {
    if (isText(path, options)) return openText(path, [path], options);
    refuseOptions(path, 'a file of rows', options, [...pictureOptions, 'lines']);
    return (await openTable(path)).toDataset(options);
  }
  const entries = list(path);
  if (entries.length > 0 && entries.every((entry) => !entry.isDirectory() && isText(entry.name, options))) {
    const names = entries.map(({ name }) => name).sort();
    return openText(
      path,
      names.map((name) => join(path, name)),
      options,
    );
  }
  if (entries.some((entry) => idxName.test(entry.name))) {
    refuseOptions(path, 'IDX files', options, [...tableOptions, ...pictureOptions, ...textOptions]);
    return openIdx(path);
  }
  const pair = tablePair(entries);
  if (pair) {
    refuseOptions(path, 'files of rows', options, [...pictureOptions, 'lines']);
    return (await openPair(path, pair)).toDataset(options);
  }
  if (entries.some((entry) => entry.isDirectory())) {
    refuseOptions(path, 'pictures', options, [...tableOptions, ...textOptions]);
    return openPictures(path, options);
  }
  throw unrecognized(path, entries);
}

/**
 * Opens the rows that `openDataset` trains on, before they become samples; undefined without rows.
 * @throws DataError
 */
export async function openRows(
  path: string,
  options: Pick<OpenOptions, 'model'> = {},
): Promise<OpenedRows | undefined> {
  checkArguments('openRows', [argumentKinds.path, path], [argumentKinds.options, options]);
  if (!isDirectory(path)) return isText(path, options) ? undefined : openTable(path);
  const pair = tablePair(list(path));
  return pair && openPair(path, pair);
}

/** Whether a file is text by its name, or by the model that is to read it. */
function isText(name: string, { model, vocabulary }: Pick<OpenOptions, 'model' | 'vocabulary'>): boolean {
  const isForText = model !== undefined || typeof vocabulary === 'object';
  return textName.test(name) || (isForText && !tableName.test(name) && !idxName.test(name));
}

/** Files are read one after another, as one text. Packed ones are unpacked once, since each pass reads them again. */
async function openText(path: string, files: readonly string[], options: OpenOptions): Promise<OpenedDataset> {
  refuseOptions(path, 'a text', options, [...tableOptions, ...pictureOptions]);
  const name = nameOf(path);
  const texts: TextSource[] = [];
  for (const file of files) {
    const bytes = /\.gz$/i.test(file) ? (await readUnpacked(file, () => {})).bytes : undefined;
    const place = file === path ? name : `${name}/${basename(file)}`;
    texts.push({ name: place, parts: () => (bytes ? [bytes] : partsOf(file)) });
  }
  return datasetFromTexts({ name, files: texts }, options);
}

function* partsOf(file: string): Generator<Uint8Array> {
  try {
    yield* readParts(file, maxFileBytes);
  } catch (error) {
    if (error instanceof FileError) throw new DataError(error.message);
    throw error;
  }
}

function openPair(folder: string, { train, test }: TablePair): Promise<OpenedRows> {
  return openTable(join(folder, train), join(folder, test));
}

function isDirectory(path: string): boolean {
  return asData(path, () => statSync(path).isDirectory());
}

/** Lists a folder without hidden files and folders. */
function list(path: string): Dirent[] {
  return asData(path, () => readdirSync(path, { withFileTypes: true })).filter(({ name }) => !name.startsWith('.'));
}

function refuseOptions(path: string, what: string, options: OpenOptions, others: readonly (keyof OpenOptions)[]): void {
  const given = others.find((name) => options[name] !== undefined);
  if (given === undefined) return;
  throw new DataError(`${nameOf(path)}: the option ${given} does not apply to ${what}: omit it`);
}

async function openIdx(path: string): Promise<OpenedDataset> {
  const parts = await loadMnist(path);
  const size = imageSizeText(parts.train.samples.shape);
  const what = `${plural(parts.train.count + parts.test.count, 'image')} of ${size} in IDX files`;
  const classes = `${parts.train.targets.names.length} classes`;
  return { ...parts, found: foundLine([{ name: nameOf(path) }], `${what}, ${classes}; ${partsText(parts)}`) };
}

interface TablePair {
  readonly train: string;
  readonly test: string;
}

function tablePair(entries: readonly Dirent[]): TablePair | undefined {
  const names = entries.map(({ name }) => name).filter((name) => tableName.test(name));
  const [train, test] = ['train', 'test'].map((part) =>
    names.find((name) => name.split('.')[0]!.toLowerCase() === part),
  );
  return train !== undefined && test !== undefined ? { train, test } : undefined;
}

async function openPictures(path: string, options: OpenOptions): Promise<OpenedDataset> {
  let decoder: Awaited<ReturnType<typeof openSharpDecoder>>;
  try {
    decoder = await openSharpDecoder();
  } catch (error) {
    throw new DataError(
      `${shownPath(path)}: ${(error as Error).message}: npm install sharp gets it, or in a clone of Lockstep npm run setup`,
    );
  }
  return readPictures(filesBelow(path, ''), nameOf(path), decoder, options);
}

/** Follows links to files but not to folders, which may form a cycle. */
function filesBelow(root: string, folder: string): PictureFile[] {
  return list(join(root, folder)).flatMap((entry) => {
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory()) return filesBelow(root, path);
    return [{ path, read: async () => readFile(join(root, path), maxPictureBytes, () => {}) }];
  });
}

function nameOf(path: string): string {
  return basename(resolve(path));
}

function unrecognized(path: string, entries: readonly Dirent[]): DataError {
  const names = entries.map(({ name }) => name);
  const expected = 'four IDX files, train.csv and test.csv, or a folder of pictures for each class';
  const table = names.find((name) => tableName.test(name));
  const advice = table === undefined ? '' : `: give the file itself, ${join(path, table)}`;
  return unexpected(shownPath(path), expected, `${listed(names.sort()) || 'an empty folder'}${advice}`);
}

/** A file of rows: its bytes, unpacked; its size as stored; and what has checked it while it was read. */
interface RowsFile {
  readonly bytes: Uint8Array;
  readonly name: string;
  readonly fileBytes: number;
  readonly gate: TextGate | undefined;
}

/** A format of rows. */
interface Format {
  readonly begins: (bytes: Uint8Array) => boolean;
  /** Checks a text while it is read; undefined for bytes that are no text. */
  readonly gate: (name: string) => TextGate | undefined;
  readonly parse: (file: RowsFile) => JsonLines | Promise<JsonLines>;
}

/** Every format of rows, the first that fits; the last one takes any text. */
const formats: readonly Format[] = [
  {
    begins: (bytes) => startsWith(bytes, [0x50, 0x41, 0x52, 0x31]),
    gate: () => undefined,
    parse: async ({ bytes, name, fileBytes }) => ({ table: await parseParquet(bytes, name, fileBytes) }),
  },
  {
    begins: (bytes) => firstCharacter(bytes) === '{',
    gate: (name) => new TextGate(name, false),
    parse: ({ bytes, name, fileBytes, gate }) => parseJsonLines(bytes, name, fileBytes, gate),
  },
  {
    begins: (bytes) => firstCharacter(bytes) === '[',
    gate: (name) => new TextGate(name, true),
    parse({ name }) {
      throw unexpected(name, 'an object in each line', 'a JSON list: save it as JSON Lines');
    },
  },
  {
    begins: () => true,
    gate: (name) => new TextGate(name, true),
    parse: ({ bytes, name, fileBytes, gate }) => ({ table: parseDelimited(bytes, name, fileBytes, gate) }),
  },
];

/** The rows of a file, before they become samples. */
export interface OpenedRows {
  readonly table: TableFile;
  /** Turns the rows into samples, and reads the file of the test rows if there is one. @throws DataError */
  toDataset(options: TableOptions): Promise<OpenedDataset>;
}

/** Opens a file of rows. @param testPath file with the test rows @throws DataError */
async function openTable(path: string, testPath?: string): Promise<OpenedRows> {
  const rows = await readRows(path);
  return {
    table: rows.table,
    toDataset: async (options) =>
      testPath === undefined
        ? datasetFromJsonLines(rows, options)
        : datasetFromPair(rows, await readRows(testPath), options),
  };
}

/**
 * Reads training and test rows. Test rows without a label, as competitions have them, are for `predict`; the test
 * samples are then a part of the training rows. The only column that such rows lack is the label.
 */
function datasetFromPair(rows: JsonLines, testRows: JsonLines, options: TableOptions): OpenedDataset {
  const [train, test] = [rows.table, testRows.table];
  const known = new Set(test.columns.map(({ name }) => name));
  const lacking = train.columns.filter(({ name }) => !known.has(name));
  const [only] = lacking;
  const label = labelColumn(train, options.label ?? (lacking.length === 1 ? only!.name : undefined));
  if (known.has(label.name)) return datasetFromJsonLines(rows, options, testRows);
  const seen = rows.samples
    ? []
    : lacking.filter((column) => column !== label && !options.ignore?.includes(column.name));
  if (seen.length > 0) {
    const expected = `all columns of ${train.name} besides the label ${shownText(label.name)}`;
    throw unexpected(test.name, expected, `none called ${listed(seen.map((column) => column.name))}`);
  }
  const opened = datasetFromJsonLines(rows, { ...options, label: label.name });
  const [name, split] = [shownName(label.name), `a part of ${train.name} is used for testing`];
  const notice = `${test.name} has no column ${name}, so ${split}; predict --out FILE.csv predicts ${test.name}`;
  return { ...opened, found: `${opened.found}\n${shownLine(notice)}` };
}

/**
 * Reads the rows of one CSV, TSV, JSON Lines or Parquet file, plain or gzip.
 * @param use if a model is to predict the rows, errors name their whole path, as one of several; if not, an error for a
 * file of another kind advises how to train on it
 * @throws DataError
 */
export async function readRows(path: string, use: 'train' | 'predict' = 'train'): Promise<JsonLines> {
  checkArguments('readRows', [argumentKinds.path, path]);
  const name = use === 'predict' ? shownPath(path) : basename(path);
  let format: Format | undefined;
  let gate: TextGate | undefined;
  const { bytes, fileBytes } = await readUnpacked(path, (chunk, totalBytes, stored) => {
    if (format === undefined) {
      const advice = adviceFor(chunk);
      if (advice) {
        const [expected, got] = ['CSV, TSV, JSON Lines or Parquet', fileKind(chunk)];
        if (use === 'predict') throw unexpected(name, `a table (${expected}), which the model takes`, got);
        throw unexpected(name, expected, `${got}: ${advice}`);
      }
      format = formats.find(({ begins }) => begins(chunk))!;
      gate = format.gate(name);
    }
    gate?.take(chunk, totalBytes, stored);
  });
  format ??= formats.at(-1)!;
  return format.parse({ bytes, name, fileBytes, gate });
}
