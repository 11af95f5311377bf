/** Helpers of long tests: seeds that differ from run to run, and a time limit. */
import { beforeEach } from 'vitest';

const numberFrom = (name: string): number | undefined => {
  const text = process.env[name];
  return text === undefined ? undefined : Number(text);
};

/** `npm run test:long` prints the seed; without it, tests run by hand are repeatable. */
export const firstSeed = numberFrom('LOCKSTEP_LONG_SEED') ?? 1;
const untilMs = numberFrom('LOCKSTEP_LONG_UNTIL_MS') ?? Number.POSITIVE_INFINITY;
const seriesMs = numberFrom('LOCKSTEP_LONG_SERIES_MS') ?? 0;

beforeEach(({ skip }) => skip(Date.now() > untilMs, 'no time was left for it'));

/** Consecutive seeds, at least one, until the time for a series of rounds is over. */
export function* freshSeeds(): Generator<number> {
  const endMs = Math.min(Date.now() + seriesMs, untilMs);
  let seed = firstSeed;
  do yield seed++;
  while (Date.now() < endMs);
}
