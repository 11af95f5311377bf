/** Plays seed after seed until each kind of fault has met a run. */
import type { FaultKind } from '@lockstep/sim';

/** The rarest fault meets one run in fifteen, so this many runs miss it by chance once in 10^17 tests. */
const mostSeeds = 600;

/**
 * Plays `count` seeds from `first` on, and more while a kind of fault has met no run, as sixty runs may by chance.
 * @param play runs a seed, and returns how often each kind of fault met it
 * @returns the kinds that met no run
 */
export async function unmetFaults(
  { first, count, kinds }: { readonly first: number; readonly count: number; readonly kinds: readonly FaultKind[] },
  play: (seed: number) => Promise<Readonly<Record<FaultKind, number>>>,
): Promise<FaultKind[]> {
  let unmet = [...kinds];
  for (let played = 0; played < count || (unmet.length > 0 && played < mostSeeds); played++) {
    const met = await play(first + played);
    unmet = unmet.filter((kind) => met[kind] === 0);
  }
  return unmet;
}
