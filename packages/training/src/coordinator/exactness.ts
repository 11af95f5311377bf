/** What a run may claim of its weights, from the numeric modes that contributed to them. */
import type { CoordinatorState } from './state.ts';

/**
 * `bit-exact`: every contributor passed the numerics check with the same hash, so any such run with this seed gives the
 * same weights. `sample-exact`: every sample still counts exactly once, with weight 1 / batch.
 */
export type Exactness = 'bit-exact' | 'sample-exact';

export function exactnessOf(state: CoordinatorState): Exactness {
  return state.contributed.size <= 1 && state.setup.gradients === undefined ? 'bit-exact' : 'sample-exact';
}
