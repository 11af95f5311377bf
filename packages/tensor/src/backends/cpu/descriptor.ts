/** Parameter blocks in memory, for kernels with many parameters. */

/** A kernel's parameters in memory, followed by its scratch space. */
export interface Descriptor {
  readonly bytes: number;
  /** Writes the descriptor at `address`, which must be a multiple of 16 and have room for `bytes`. */
  write(buffer: ArrayBufferLike, address: number): void;
}
