/** Reads a file of rows in the format that its bytes indicate; needs Node. */
import { basename } from 'node:path';
import { DataError } from '../data-error.ts';
import { parseDelimited } from '../readers/delimited.ts';
import { type JsonLines, parseJsonLines } from '../readers/json-lines.ts';
import { datasetFromJsonLines } from '../readers/json-lines-dataset.ts';
import type { OpenedDataset } from '../readers/opened-dataset.ts';
import { parseParquet } from '../readers/parquet.ts';
import type { Table } from '../readers/table.ts';
import type { TableOptions } from '../readers/table-dataset.ts';
import { firstCharacter, startsWith, TextGate } from '../readers/text.ts';
import { fileKind } from '../shown.ts';
import { readUnpacked } from './read-unpacked.ts';

/** Advice for files that are not tables, by their first bytes. */
const otherFiles: readonly (readonly [magic: readonly number[], advice: string])[] = [
  [[0x50, 0x4b, 0x03, 0x04], 'unpack it, or save it as CSV'],
  [[0x89, 0x50, 0x4e, 0x47], 'give the folder with a folder of pictures for each class'],
  [[0xff, 0xd8, 0xff], 'give the folder with a folder of pictures for each class'],
  [[0x52, 0x49, 0x46, 0x46], 'give the folder with a folder of pictures for each class'],
  [[0x00, 0x00, 0x08], 'give the folder with the four of them'],
];
const parquetMagic = [0x50, 0x41, 0x52, 0x31];

/** The rows of a file, before they become samples. */
export interface OpenedRows {
  readonly table: Table;
  /** Turns the rows into samples, and reads the file of the test rows if there is one. @throws DataError */
  toDataset(options: TableOptions): Promise<OpenedDataset>;
}

/** Opens a file of rows. @param testPath file with the test rows @throws DataError */
export async function openTable(path: string, testPath?: string): Promise<OpenedRows> {
  const rows = await readRows(path);
  return {
    table: rows.table,
    toDataset: async (options) =>
      datasetFromJsonLines(rows, options, testPath === undefined ? undefined : await readRows(testPath)),
  };
}

/** Reads the rows of one CSV, TSV, JSON Lines or Parquet file, plain or gzip. @throws DataError */
export async function readRows(path: string): Promise<JsonLines> {
  const name = basename(path);
  const gate = new RowsGate(name);
  const { bytes, fileBytes } = await readUnpacked(path, (...chunk) => gate.take(...chunk));
  if (startsWith(bytes, parquetMagic)) return { table: await parseParquet(bytes, name, fileBytes) };
  const first = firstCharacter(bytes);
  if (first === '[')
    throw new DataError(`${name}: expected an object in each line, got a JSON list: save it as JSON Lines`);
  return first === '{'
    ? parseJsonLines(bytes, name, fileBytes, gate.text)
    : { table: parseDelimited(bytes, name, fileBytes, gate.text) };
}

/** Refuses a file that is not a table by its first bytes, and a text that is too long while it is read. */
class RowsGate {
  readonly #name: string;
  #isFirst = true;
  /** Undefined before the first chunk, and if the file is not a text. */
  text: TextGate | undefined;

  constructor(name: string) {
    this.#name = name;
  }

  take(chunk: Uint8Array, totalBytes: number, fileBytes: number): void {
    if (this.#isFirst) this.#begin(chunk);
    this.text?.take(chunk, totalBytes, fileBytes);
  }

  #begin(chunk: Uint8Array): void {
    this.#isFirst = false;
    const other = otherFiles.find(([magic]) => startsWith(chunk, magic));
    if (other) {
      const got = `${fileKind(chunk)}: ${other[1]}`;
      throw new DataError(`${this.#name}: expected CSV, TSV, JSON Lines or Parquet, got ${got}`);
    }
    if (!startsWith(chunk, parquetMagic)) this.text = new TextGate(this.#name, firstCharacter(chunk) !== '{');
  }
}
