/** Which shards are computed twice, so that a wrong result is found. */
import type { RunSetup } from './state.ts';

/** The coordinator computes one in so many verified shards itself, even where its workers agree. */
const verifiedPerAudit = 8;

/** Whether a shard is computed twice; workers cannot know which are, since they do not know the salt. */
export function isVerified(setup: RunSetup, step: number, lo: number): boolean {
  return draw(setup, step, lo, 0) < (setup.verifyRate ?? 0);
}

/** Whether the coordinator computes a verified shard as well: liars that agree with each other are found so. */
export function isAudited(setup: RunSetup, step: number, lo: number): boolean {
  return isVerified(setup, step, lo) && draw(setup, step, lo, 1) * verifiedPerAudit < 1;
}

/** Uniform in [0, 1). The finalizer of MurmurHash3 (Austin Appleby): every bit of the input changes half of the output's. */
function draw({ verifySalt = 0 }: RunSetup, step: number, lo: number, purpose: number): number {
  let hash = (verifySalt ^ Math.imul(step + 1, 0x9e3779b1) ^ Math.imul(2 * lo + purpose + 1, 0x85ebca77)) >>> 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}
