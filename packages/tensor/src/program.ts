/** Programs, which a backend prepares once and runs any number of times, and the inputs that feed bytes to them. */

/** Prepared calls. A program must not run after a storage of its calls was freed. */
export interface Program {
  /** Runs the calls in order on the current values of the storages; allocates nothing. */
  run(): void;
  /** Frees the memory that preparing took; the storages belong to the caller. */
  dispose(): void;
}

/** Rows of bytes in a backend's memory, which an input can take by row number. */
export interface ByteTable {
  readonly rows: number;
  /** Bytes per row. */
  readonly columns: number;
  /** A view of all rows, row-major; valid until the backend's next allocation. */
  readonly bytes: Uint8Array;
  /** Writes a row; `bytes` [columns]. A row is unspecified until it is written. */
  write(row: number, bytes: Uint8Array): void;
  /** Returns a copy of a row. */
  read(row: number): Uint8Array;
  dispose(): void;
}

/**
 * Feeds bytes into a storage as `byte / divisor`, a float32 division.
 * Bytes are taken in immediately. The returned program belongs to the input, and may do the conversion on the thread
 * that runs it. Products may convert while they read, so programs that read the storage must not run in parallel.
 */
export interface ByteInput {
  /** Takes one byte for each value of the storage. @throws RangeError for any other number of bytes */
  take(bytes: Uint8Array): Program;
  /** Takes the rows of a table with these numbers, in order. @throws RangeError if a row does not exist */
  takeRows(table: ByteTable, numbers: Uint32Array): Program;
  dispose(): void;
}

/** Finds the largest absolute value of a storage. */
export interface Magnitude {
  readonly program: Program;
  /** Returns the result of the program's last run: 0 if there are no values, not finite if any is NaN or infinite. */
  value(): number;
}
