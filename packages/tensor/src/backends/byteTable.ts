/** Tables of bytes: their checks, and one beside any backend that has none of its own. */
import type { Backend, ByteTable, Storage } from '../backend.ts';

/** A table of `rows` rows of `columns` bytes each. @throws RangeError where its size is no whole number of bytes. */
export function createByteTable(backend: Backend, rows: number, columns: number): ByteTable {
  if (!isCount(rows) || !isCount(columns)) {
    throw new RangeError(`table: expected whole numbers of rows and columns, got ${rows} and ${columns}`);
  }
  return backend.byteTable?.(rows, columns) ?? new TableBeside(backend, rows, columns);
}

const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;

/** Throws unless the table has the row. */
export function checkRow({ rows }: Pick<ByteTable, 'rows'>, row: number): void {
  if (!isCount(row) || row >= rows) throw new RangeError(`table: expected a row below ${rows}, got ${row}`);
}

/** Throws unless `bytes` are one row. */
export function checkColumns({ columns }: Pick<ByteTable, 'columns'>, bytes: Uint8Array): void {
  if (bytes.length !== columns) throw new RangeError(`table: expected ${columns} bytes in a row, got ${bytes.length}`);
}

/** Keeps its bytes in JavaScript's memory and uploads a copy of the rows that are asked for. */
class TableBeside implements ByteTable {
  readonly rows: number;
  readonly columns: number;
  readonly #backend: Backend;
  readonly #bytes: Uint8Array;

  constructor(backend: Backend, rows: number, columns: number) {
    this.rows = rows;
    this.columns = columns;
    this.#backend = backend;
    this.#bytes = new Uint8Array(rows * columns);
  }

  write(row: number, bytes: Uint8Array): void {
    checkRow(this, row);
    checkColumns(this, bytes);
    this.#bytes.set(bytes, row * this.columns);
  }

  read(row: number): Uint8Array {
    checkRow(this, row);
    return this.#bytes.slice(row * this.columns, (row + 1) * this.columns);
  }

  upload(storage: Storage, numbers: Uint32Array, divisor: number): void {
    const { columns } = this;
    const picked = new Uint8Array(numbers.length * columns);
    for (let index = 0; index < numbers.length; index++) {
      const row = numbers[index]!;
      checkRow(this, row);
      picked.set(this.#bytes.subarray(row * columns, (row + 1) * columns), index * columns);
    }
    this.#backend.uploadBytes(storage, picked, divisor);
  }

  dispose(): void {}
}
