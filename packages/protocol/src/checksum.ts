/** The checksum of a gradient, which finds bytes damaged between a worker's memory and the coordinator's. */
import xxhash from 'xxhash-wasm';

/** A 32-bit checksum of `bytes`, from 0 to 2^32 - 1. */
export type Checksum = (bytes: Uint8Array) => number;

/**
 * Compiles XXH64 (seed 0) to WebAssembly and takes its lower half: it reads twice as fast as XXH32. The resolved function
 * is synchronous and reads any alignment.
 */
export async function openChecksum(): Promise<Checksum> {
  const { h64Raw } = await xxhash();
  return (bytes) => Number(BigInt.asUintN(32, h64Raw(bytes)));
}
