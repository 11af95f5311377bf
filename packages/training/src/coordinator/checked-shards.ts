/** Which shards the coordinator computes as well, so that a wrong result is found. */
import type { RunSetup } from './state.ts';

/** Workers cannot know which shards are drawn, since they do not know the salt. */
export function isDrawnForCheck({ verifyRate = 0, verifySalt = 0 }: RunSetup, step: number, lo: number): boolean {
  return draw(verifySalt, step, lo) < verifyRate;
}

/** Uniform in [0, 1). The finalizer of MurmurHash3 (Austin Appleby): every bit of the input changes half of the output's. */
function draw(salt: number, step: number, lo: number): number {
  let hash = (salt ^ Math.imul(step + 1, 0x9e3779b1) ^ Math.imul(lo + 1, 0x85ebca77)) >>> 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}
