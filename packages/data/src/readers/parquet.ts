/** Reads Parquet files with flat columns; the parser is loaded when the first one is read. */
import { DataError } from '../data-error.ts';
import { Column } from './column.ts';
import { checkColumnNames, shownText, type Table } from './table.ts';

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
    const names = fields.map(({ element }) => element.name);
    const rows = nested === undefined ? await parquetReadObjects({ file, metadata, compressors }) : [];
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
  if (value instanceof Date) return value.toISOString();
  const got = value instanceof Uint8Array ? `${value.length} bytes` : shownText(JSON.stringify(value));
  throw new DataError(`${place}: expected a number or a text, got ${got}`);
}
