/** Which shards are computed twice, so that a wrong result is found. */
import type { RunSetup } from './state.ts';

/** Whether a shard is computed twice; workers cannot know which are, since they do not know the salt. */
export function isVerified({ verifyRate = 0, verifySalt = 0 }: RunSetup, step: number, lo: number): boolean {
  if (verifyRate <= 0) return false;
  // The finalizer of MurmurHash3 (Austin Appleby): every bit of the input changes half of the output's.
  let hash = (verifySalt ^ Math.imul(step + 1, 0x9e3779b1) ^ Math.imul(lo + 1, 0x85ebca77)) >>> 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32 < verifyRate;
}
