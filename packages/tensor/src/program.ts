/** What a backend makes ready once and runs any number of times: programs, and how bytes get to them. */

/** Calls made ready. It must not run once a storage of its calls was freed. */
export interface Program {
  /** Runs the calls in order on what the storages hold now; allocates nothing. */
  run(): void;
  /** Gives back what preparing took; the storages belong to the caller. */
  dispose(): void;
}

/** Rows of bytes that stay where a backend computes, so that they are taken in by number. */
export interface ByteTable {
  readonly rows: number;
  /** Bytes of a row. */
  readonly columns: number;
  /** A view of all rows, one after another; valid until the backend allocates again. */
  readonly bytes: Uint8Array;
  /** Copies a row in; `bytes` [columns]. What a row holds before is unspecified. */
  write(row: number, bytes: Uint8Array): void;
  /** A copy of a row. */
  read(row: number): Uint8Array;
  dispose(): void;
}

/**
 * Bytes on their way into a storage as `byte / divisor`, a float32 division.
 * They are taken in at once; the program that is returned may leave the conversion to the thread that it runs on, and
 * belongs to the input. Products may convert while they read, so that programs which read the storage must not run side by side.
 */
export interface ByteInput {
  /** Takes as many bytes as the storage has values. @throws RangeError for another number */
  take(bytes: Uint8Array): Program;
  /** Takes the numbered rows of a table, one after another. @throws RangeError where there are no such rows */
  takeRows(table: ByteTable, numbers: Uint32Array): Program;
  dispose(): void;
}

/** The largest absolute value of a storage. */
export interface Magnitude {
  readonly program: Program;
  /** As the program last found it: 0 of no values, not finite where one is NaN or infinite. */
  value(): number;
}
