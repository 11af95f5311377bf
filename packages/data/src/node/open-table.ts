/** Reads a file of rows in the format that its bytes indicate; needs Node. */
import { basename } from 'node:path';
import { DataError } from '../data-error.ts';
import { parseDelimited } from '../readers/delimited.ts';
import { type JsonLines, parseJsonLines } from '../readers/json-lines.ts';
import { datasetFromJsonLines } from '../readers/json-lines-dataset.ts';
import type { OpenedDataset } from '../readers/opened-dataset.ts';
import { parseParquet } from '../readers/parquet.ts';
import type { TableOptions } from '../readers/table-dataset.ts';
import { firstCharacter, startsWith, TextGate } from '../readers/text.ts';
import { fileKind } from '../shown.ts';
import { type Gate, readUnpacked } from './read-unpacked.ts';

/** Advice for files that are not tables, by their first bytes. */
const otherFiles: readonly (readonly [magic: readonly number[], advice: string])[] = [
  [[0x50, 0x4b, 0x03, 0x04], 'unpack it, or save it as CSV'],
  [[0x89, 0x50, 0x4e, 0x47], 'give the folder with a folder of pictures for each class'],
  [[0xff, 0xd8, 0xff], 'give the folder with a folder of pictures for each class'],
  [[0x52, 0x49, 0x46, 0x46], 'give the folder with a folder of pictures for each class'],
  [[0x00, 0x00, 0x08], 'give the folder with the four of them'],
];
const parquetMagic = [0x50, 0x41, 0x52, 0x31];

/** Opens a file of rows as a data set. @param testPath file with the test rows @throws DataError */
export async function openTable(path: string, options: TableOptions, testPath?: string): Promise<OpenedDataset> {
  const rows = await readRows(path);
  return datasetFromJsonLines(rows, options, testPath === undefined ? undefined : await readRows(testPath));
}

/** Reads the rows of one CSV, TSV, JSON Lines or Parquet file, plain or gzip. @throws DataError */
export async function readRows(path: string): Promise<JsonLines> {
  const name = basename(path);
  const { bytes, fileBytes } = await readUnpacked(path, rowsGate(name));
  if (startsWith(bytes, parquetMagic)) return { table: await parseParquet(bytes, name, fileBytes) };
  const first = firstCharacter(bytes);
  if (first === '[')
    throw new DataError(`${name}: expected an object in each line, got a JSON list: save it as JSON Lines`);
  return first === '{' ? parseJsonLines(bytes, name, fileBytes) : { table: parseDelimited(bytes, name, fileBytes) };
}

/** Refuses a file that is not a table by its first bytes, and a text that is too long while it is read. */
function rowsGate(name: string): Gate {
  let isFirst = true;
  let text: TextGate | undefined;
  return (chunk, totalBytes, fileBytes) => {
    if (isFirst) {
      isFirst = false;
      const other = otherFiles.find(([magic]) => startsWith(chunk, magic));
      if (other) {
        const got = `${fileKind(chunk)}: ${other[1]}`;
        throw new DataError(`${name}: expected CSV, TSV, JSON Lines or Parquet, got ${got}`);
      }
      if (!startsWith(chunk, parquetMagic)) text = new TextGate(name, firstCharacter(chunk) !== '{');
    }
    text?.take(chunk, totalBytes, fileBytes);
  };
}
