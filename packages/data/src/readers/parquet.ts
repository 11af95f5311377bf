/** Reads Parquet files with flat columns; the parser is loaded when the first one is read. */

import type { FileMetaData, SchemaTree } from 'hyparquet';
import type { readColumn } from 'hyparquet/src/column.js';
import {
  argumentKinds,
  checkArguments,
  DataError,
  limitOf,
  requireColumns,
  requireRows,
  requireValues,
  unexpected,
} from '../data-error.ts';
import { thousands } from '../shown.ts';
import { Cells, checkColumnNames, columnsOf, shownName, shownText, type TableFile } from './table.ts';

/** Name that pandas gives to an unnamed index, such as the index of shuffled rows. */
const unnamedIndex = /^__index_level_\d+__$/;
const msPerDay = 86_400_000;
const utf8 = new TextDecoder('utf-8', { fatal: true });
/** hyparquet would give a day a time, and replace bytes that are not UTF-8. */
const parsers = { dateFromDays: dayText, stringFromBytes: textOrBytes };

/** Longer texts count as unpacked in each row that has them, because a dictionary stores them once for all rows. */
const longText = 256;

/** Contents of a column chunk, checked against the file's own metadata. */
interface Chunk {
  readonly reader: { readonly view: DataView; offset: number };
  readonly decoder: Parameters<typeof readColumn>[2];
}

/**
 * Parses a Parquet file with flat columns as a table.
 * Decodes one column of one row group at a time, after checking the sizes that its pages claim.
 * @param name name of the file, for messages
 * @param fileBytes size of the file as stored, possibly packed
 * @throws DataError
 */
export async function parseParquet(
  bytes: Uint8Array,
  name: string,
  fileBytes: number = bytes?.length,
): Promise<TableFile> {
  checkArguments('parseParquet', [argumentKinds.bytes, bytes], [argumentKinds.text, name]);
  const parquet = await loadParser();
  const { metadata, fields } = parsed(name, () => metadataOf(bytes, parquet));
  const nested = fields.find(({ children }) => children.length > 0)?.element.name;
  if (nested !== undefined) {
    const column = shownName(nested);
    throw unexpected(`${name}: column ${column}`, 'a number or a text in each row', 'nested values');
  }
  const used = fields.flatMap((field, index) => (unnamedIndex.test(field.element.name) ? [] : [{ field, index }]));
  const names = used.map(({ field }) => field.element.name);
  requireColumns(name, fields.length);
  checkColumnNames(name, names, 0);
  const count = parsed(name, () => rowCount(metadata));
  if (count === 0) throw unexpected(name, 'rows of values', 'none');
  requireValues(name, count, fields.length, fileBytes);
  requireRows(name, 'rows', count, fileBytes);
  const cells = new Cells(name, names.length, fileBytes);
  let unpackedBytes = 0;
  let first = 0;
  for (const group of metadata.row_groups) {
    const rows = Number(group.num_rows);
    used.forEach(({ field, index }, column) => {
      const parts = parsed(name, () => {
        const chunk = chunkOf(bytes, metadata, group.columns[index], field, parquet);
        unpackedBytes += requirePages(chunk, rows, parquet);
        requireUnpacked(name, unpackedBytes, fileBytes);
        return decode(chunk, rows, parquet);
      });
      let row = first;
      for (const part of parts) {
        for (let at = 0; at < part.length; at += 1) {
          const cell = cellOf(part[at], () => `${name}: row ${row + 1}, column ${shownName(names[column]!)}`);
          if (typeof cell === 'string' && cell.length > longText) {
            unpackedBytes += cell.length;
            requireUnpacked(name, unpackedBytes, fileBytes);
          }
          cells.set(row, column, cell);
          row += 1;
        }
      }
    });
    first += rows;
  }
  return { name, columns: columnsOf(names, cells, count), count, placeOf: (row) => `row ${row + 1}` };
}

type Parser = Awaited<ReturnType<typeof loadParser>>;

async function loadParser() {
  const [{ parquetMetadata, parquetSchema }, { parquetHeader, readColumn }, { DEFAULT_PARSERS }, { compressors }] =
    await Promise.all([
      import('hyparquet'),
      import('hyparquet/src/column.js'),
      import('hyparquet/src/convert.js'),
      import('hyparquet-compressors'),
    ]);
  const allParsers = { ...DEFAULT_PARSERS, ...parsers };
  return { parquetMetadata, parquetSchema, parquetHeader, readColumn, parsers: allParsers, compressors };
}

/** Turns the parser's errors into a sentence. */
function parsed<Value>(name: string, use: () => Value): Value {
  try {
    return use();
  } catch (error) {
    if (error instanceof DataError) throw error;
    throw unexpected(name, 'a Parquet file', `one that cannot be read: ${(error as Error).message}`);
  }
}

function metadataOf(bytes: Uint8Array, { parquetMetadata, parquetSchema }: Parser) {
  const isWhole = bytes.byteOffset === 0 && bytes.byteLength === bytes.buffer.byteLength;
  const metadata = parquetMetadata((isWhole ? bytes : new Uint8Array(bytes)).buffer as ArrayBuffer);
  return { metadata, fields: parquetSchema(metadata).children };
}

/** Returns the number of rows. @throws Error if the file and its row groups disagree */
function rowCount({ num_rows, row_groups }: FileMetaData): number {
  const counts = row_groups.map((group) => Number(group.num_rows));
  const sum = counts.reduce((total, count) => total + count, 0);
  if (Number(num_rows) === sum && counts.every((count) => count >= 0)) return sum;
  throw new Error(`it claims ${num_rows} rows, and its row groups ${sum}`);
}

function chunkOf(
  bytes: Uint8Array,
  { schema }: FileMetaData,
  column: FileMetaData['row_groups'][number]['columns'][number] | undefined,
  field: SchemaTree,
  { parsers, compressors }: Parser,
): Chunk {
  const about = column?.meta_data;
  if (!about || column.file_path !== undefined) throw new Error('a column has no data in the file');
  const { dictionary_page_offset, data_page_offset, total_compressed_size } = about;
  // Some writers put 0 if there is no dictionary.
  const start = Number(dictionary_page_offset || data_page_offset);
  const length = Number(total_compressed_size);
  const view = new DataView(bytes.buffer, bytes.byteOffset + start, length);
  const root: SchemaTree = { element: schema[0]!, children: [field], count: 2, path: [] };
  const schemaPath = [root, field];
  const { element } = field;
  const decoder = { ...about, pathInSchema: [element.name], element, schemaPath, parsers, compressors };
  return { reader: { view, offset: 0 }, decoder };
}

/** Reads the headers of the pages alone. @returns the bytes that the pages unpack to */
function requirePages({ reader: { view } }: Chunk, rows: number, { parquetHeader }: Parser): number {
  const reader = { view, offset: 0 };
  let values = 0;
  let unpackedBytes = 0;
  // Like hyparquet, which takes a last byte for padding.
  while (values < rows && reader.offset < view.byteLength - 1) {
    const header = parquetHeader(reader);
    const { dictionary_page_header, data_page_header, data_page_header_v2 } = header;
    const size = Number(header.uncompressed_page_size);
    if (!(size >= 0 && header.compressed_page_size >= 0)) throw new Error('a page has a negative size');
    const entries = dictionary_page_header?.num_values ?? 0;
    const ofPage = (data_page_header ?? data_page_header_v2)?.num_values ?? 0;
    if (!(entries >= 0 && ofPage >= 0 && entries <= rows && values + ofPage <= rows)) {
      throw new Error(`a column of ${rows} rows has a page of ${Math.max(entries, ofPage)} values`);
    }
    values += ofPage;
    unpackedBytes += size;
    reader.offset += header.compressed_page_size;
  }
  if (values !== rows) throw new Error(`a column has ${values} values for ${rows} rows`);
  return unpackedBytes;
}

function requireUnpacked(name: string, unpackedBytes: number, fileBytes: number): void {
  const most = limitOf('unpackedBytes', fileBytes);
  if (unpackedBytes <= most) return;
  const [expected, got] = [most, unpackedBytes].map((bytes) => thousands(bytes));
  throw unexpected(name, `pages that unpack to at most ${expected} bytes in all`, got);
}

/** Returns the values, page by page. */
function decode({ reader, decoder }: Chunk, rows: number, { readColumn }: Parser): readonly ArrayLike<unknown>[] {
  const { data } = readColumn(reader, { groupStart: 0, groupRows: rows, selectStart: 0, selectEnd: rows }, decoder);
  const count = data.reduce((sum, { length }) => sum + length, 0);
  if (count !== rows) throw new Error(`a column has ${count} values for ${rows} rows`);
  return data;
}

function cellOf(value: unknown, place: () => string): string | number {
  if (value === null || value === undefined) return '';
  if (typeof value === 'string' || typeof value === 'number') return value;
  if (typeof value === 'bigint') return Number(value);
  if (typeof value === 'boolean') return `${value}`;
  if (value instanceof Date && !Number.isNaN(value.getTime())) return value.toISOString();
  throw unexpected(place(), 'a number or a text', shownValue(value));
}

function shownValue(value: unknown): string {
  if (value instanceof Date) return 'a time that a Date cannot hold';
  return value instanceof Uint8Array ? `${value.length} bytes` : shownText(JSON.stringify(value));
}

/** Formats a day, such as `2024-01-31`. Returns an invalid Date if the day is out of range. */
function dayText(days: number): string | Date {
  const day = new Date(days * msPerDay);
  return Number.isNaN(day.getTime()) ? day : day.toISOString().slice(0, -'T00:00:00.000Z'.length);
}

function textOrBytes(bytes: Uint8Array | undefined): string | Uint8Array | undefined {
  try {
    return bytes && utf8.decode(bytes);
  } catch {
    return bytes;
  }
}
