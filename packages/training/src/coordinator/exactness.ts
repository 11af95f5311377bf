/** What a run may claim of its weights, from the numeric modes that contributed to them. */
import type { CoordinatorState } from './state.ts';

/**
 * `bit-exact`: every contributor passed the numerics check with the same hash, so any such run with this seed gives the
 * same weights. `sample-exact`: every sample still counts exactly once, with weight 1 / batch. `unverified`: results of
 * a worker were added that was later found to send wrong ones.
 */
export type Exactness = 'bit-exact' | 'sample-exact' | 'unverified';

export function exactnessOf(state: CoordinatorState): Exactness {
  const hadLiar = [...state.records.values()].some(
    ({ quarantined, shards }) => quarantined !== undefined && shards > 0,
  );
  if (hadLiar) return 'unverified';
  return state.contributed.size <= 1 && state.setup.gradients === undefined ? 'bit-exact' : 'sample-exact';
}
