/** Reads Parquet files with flat columns; the parser is loaded when the first one is read. */
import { DataError } from '../data-error.ts';
import { Column } from './column.ts';
import { checkColumnNames, shownText, type Table } from './table.ts';

/** What pandas calls an index without a name, such as that of shuffled rows. */
const unnamedIndex = /^__index_level_\d+__$/;
const msPerDay = 86_400_000;
const utf8 = new TextDecoder('utf-8', { fatal: true });
/** hyparquet would give a day a time, and replace what is not UTF-8. */
const parsers = { dateFromDays: dayText, stringFromBytes: textOrBytes };

/**
 * A Parquet file with flat columns as a table.
 * @param name of the file, for messages. @throws DataError
 */
export async function parseParquet(bytes: Uint8Array, name: string): Promise<Table> {
  const { rows, nested, names } = await readRows(bytes, name);
  if (nested !== undefined) {
    throw new DataError(`${name}: column ${nested}: expected a number or a text in each row, got nested values`);
  }
  checkColumnNames(name, names, 0);
  if (rows.length === 0) throw new DataError(`${name}: expected rows of values, got none`);
  const columns = names.map((column) => new Column(column));
  rows.forEach((row, index) => {
    for (const column of columns)
      column.push(cellOf(row[column.name], `${name}: row ${index + 1}, column ${column.name}`));
  });
  return { name, columns, count: rows.length, placeOf: (row) => `row ${row + 1}` };
}

async function readRows(bytes: Uint8Array, name: string) {
  const [{ parquetMetadata, parquetReadObjects, parquetSchema }, { compressors }] = await Promise.all([
    import('hyparquet'),
    import('hyparquet-compressors'),
  ]);
  try {
    // A copy, as the bytes may be a part of a larger buffer.
    const file = new Uint8Array(bytes).buffer;
    const metadata = parquetMetadata(file);
    const fields = parquetSchema(metadata).children;
    const nested = fields.find(({ children }) => children.length > 0)?.element.name;
    const names = fields.map(({ element }) => element.name).filter((column) => !unnamedIndex.test(column));
    const rows = nested === undefined ? await parquetReadObjects({ file, metadata, compressors, parsers }) : [];
    return { rows, nested, names };
  } catch (error) {
    throw new DataError(`${name}: expected a Parquet file, got one that cannot be read: ${(error as Error).message}`);
  }
}

function cellOf(value: unknown, place: string): string | number {
  if (value === null || value === undefined) return '';
  if (typeof value === 'string' || typeof value === 'number') return value;
  if (typeof value === 'bigint') return Number(value);
  if (typeof value === 'boolean') return `${value}`;
  if (value instanceof Date && !Number.isNaN(value.getTime())) return value.toISOString();
  throw new DataError(`${place}: expected a number or a text, got ${shownValue(value)}`);
}

function shownValue(value: unknown): string {
  if (value instanceof Date) return 'a time that a Date cannot hold';
  return value instanceof Uint8Array ? `${value.length} bytes` : shownText(JSON.stringify(value));
}

/** Such as `2024-01-31`. */
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
