/** The checksum that travels with a gradient, against bytes damaged between a worker's memory and the coordinator's. */
import xxhash from 'xxhash-wasm';

/** A 32-bit checksum of `bytes`, from 0 to 2^32 - 1. */
export type Checksum = (bytes: Uint8Array) => number;

/** Compiles XXH32 (seed 0) to WebAssembly; the function it resolves to is synchronous and reads any alignment. */
export async function openChecksum(): Promise<Checksum> {
  const { h32Raw } = await xxhash();
  return (bytes) => h32Raw(bytes);
}
