/** What the kernels with many parameters read from memory. */

/** The parameters of a kernel in memory, with the room that it works in behind them. */
export interface Descriptor {
  readonly bytes: number;
  /** Writes it at `address`, which must be a multiple of 16 and have room for `bytes`. */
  write(buffer: ArrayBufferLike, address: number): void;
}
