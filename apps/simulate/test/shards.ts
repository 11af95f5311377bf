import type { Simulation } from '@lockstep/sim';

/** Counts the shards whose sum came from a relay, and those computed by workers behind relays. */
export function shardsOf({ state, others, relays }: Simulation): { readonly above: number; readonly below: number } {
  const sum = (states: Simulation['others'], isCounted: (kind: string) => boolean): number =>
    states
      .flatMap(({ records }) => [...records.values()])
      .reduce((total, { kind, shards }) => total + (isCounted(kind) ? shards : 0), 0);
  return {
    above: sum([state, ...others], (kind) => kind === 'relay'),
    below: sum([...relays.values()].flat(), () => true),
  };
}
