/** Bytes as inputs of plans, and tables of samples as bytes. */

import { isWholeNumber } from '../arguments.ts';
import type { Backend, Storage } from '../backend.ts';
import type { ByteInput, ByteTable, Program } from '../program.ts';
import { checkCopy } from './check.ts';

/** Creates a table of `rows` rows of `columns` bytes each. @throws RangeError if either is not a whole number */
export function createByteTable(backend: Backend, rows: number, columns: number): ByteTable {
  if (!isWholeNumber(rows) || !isWholeNumber(columns)) {
    throw new RangeError(`table: expected whole numbers of rows and columns, got ${rows} and ${columns}`);
  }
  return backend.byteTable?.(rows, columns) ?? new DetachedTable(rows, columns);
}

/** A table whose bytes JavaScript can access. */
export abstract class HostTable implements ByteTable {
  readonly rows: number;
  readonly columns: number;

  constructor(rows: number, columns: number) {
    this.rows = rows;
    this.columns = columns;
  }

  abstract get bytes(): Uint8Array;
  abstract dispose(): void;

  write(row: number, bytes: Uint8Array): void {
    const { columns } = this;
    if (bytes.length !== columns)
      throw new RangeError(`table: expected ${columns} bytes in a row, got ${bytes.length}`);
    this.row(row).set(bytes);
  }

  read(row: number): Uint8Array {
    return this.row(row).slice();
  }

  /** Returns a view of a row. @throws RangeError if there is no such row */
  protected row(row: number): Uint8Array {
    const { rows, columns } = this;
    if (!isWholeNumber(row) || row >= rows) throw new RangeError(`table: expected a row below ${rows}, got ${row}`);
    return this.bytes.subarray(row * columns, (row + 1) * columns);
  }
}

class DetachedTable extends HostTable {
  readonly bytes: Uint8Array;

  constructor(rows: number, columns: number) {
    super(rows, columns);
    this.bytes = new Uint8Array(rows * columns);
  }

  dispose(): void {}
}

const nothing: Program = { run() {}, dispose() {} };

/**
 * Creates a byte input, through which programs see byte / divisor.
 * @param divisor as in `uploadBytes`
 */
export function createByteInput(backend: Backend, storage: Storage, divisor: number): ByteInput {
  return (
    backend.byteInput?.(storage, divisor) ?? {
      take(bytes) {
        backend.uploadBytes(storage, bytes, divisor);
        return nothing;
      },
      takeRows(table, numbers) {
        checkCopy(storage, numbers.length * table.columns);
        const picked = new Uint8Array(storage.length);
        for (let index = 0; index < numbers.length; index++) {
          picked.set(table.read(numbers[index]!), index * table.columns);
        }
        backend.uploadBytes(storage, picked, divisor);
        return nothing;
      },
      dispose() {},
    }
  );
}
