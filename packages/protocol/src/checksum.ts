/** The checksum that travels with a gradient, against bytes damaged between a worker's memory and the coordinator's. */
import xxhash from 'xxhash-wasm';

/** A 32-bit checksum of `bytes`, from 0 to 2^32 - 1. */
export type Checksum = (bytes: Uint8Array) => number;

/**
 * Compiles XXH64 (seed 0), of which the lower half is taken, to WebAssembly: it reads twice as fast as XXH32. The function
 * it resolves to is synchronous and reads any alignment.
 */
export async function openChecksum(): Promise<Checksum> {
  const { h64Raw } = await xxhash();
  return (bytes) => Number(BigInt.asUintN(32, h64Raw(bytes)));
}
