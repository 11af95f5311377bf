/** The checksum of a gradient, which finds damage between a worker's memory and the coordinator's. */
import xxhash from 'xxhash-wasm';
import type { MessageOf } from './messages.ts';

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

/** What of a gradient message decides the step: its shard, and the sums over it. */
type ShardSum = Pick<MessageOf<'gradient'>, 'step' | 'lo' | 'n' | 'bytes' | 'lossSum' | 'correct' | 'count'>;

/** The checksum of a chunk of a gradient: of its bytes, and of its place in the vector. */
export function chunkChecksum(checksum: Checksum, { at, bytes }: Pick<MessageOf<'chunk'>, 'at' | 'bytes'>): number {
  return checksum(new Uint8Array(Float64Array.of(at, checksum(bytes)).buffer));
}

/** The checksum of a gradient message: of its bytes, and of the numbers beside them. */
export function gradientChecksum(checksum: Checksum, sum: ShardSum): number {
  const { step, lo, n, bytes, lossSum, correct, count } = sum;
  return checksum(new Uint8Array(Float64Array.of(step, lo, n, lossSum, correct, count, checksum(bytes)).buffer));
}
