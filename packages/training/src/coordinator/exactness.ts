/** What a run may claim of its weights, from how the results that were added were rounded. */
import type { CoordinatorState } from './state.ts';

/**
 * `bit-exact`: all contributors rounded in one numeric mode, so any run with this seed in this mode gives the same
 * weights. `sample-exact`: every sample still counts exactly once, with weight 1 / batch. `unverified`: results of
 * a worker were added that was later found to send wrong ones.
 */
export type Exactness = 'bit-exact' | 'sample-exact' | 'unverified';

/** Hashes of the weights of two runs may be compared only where both have the same `numericMode`, and it is not null. */
export interface Claim {
  /** Null where no step was taken: initial weights show nothing of who computed. */
  readonly exactness: Exactness | null;
  /**
   * The mode of a bit-exact run: the coordinator's own, such as `f32-mul-add.v1`, or another one with the first digits
   * of its numerics hash, such as `gpu.js webgl2 on SwiftShader, numerics check 0123abcd`. Else null.
   */
  readonly numericMode: string | null;
  /** Backend whose workers alone give these bits; null where any worker in the coordinator's own mode does. */
  readonly bitExactAmong: string | null;
}

export function claimOf(state: CoordinatorState): Claim {
  const exactness = exactnessOf(state);
  const [first] = state.contributed;
  if (exactness !== 'bit-exact' || !first) return { exactness, numericMode: null, bitExactAmong: null };
  const { numericMode, numericsHash, backend } = first;
  if (numericMode === state.setup.refereeMode) return { exactness, numericMode, bitExactAmong: null };
  const checked = `${numericMode}, numerics check ${numericsHash.slice(0, 8)}`;
  return { exactness, numericMode: checked, bitExactAmong: backend };
}

/** The claim in a few words for people. */
export function claimText({ exactness, numericMode, bitExactAmong }: Claim): string {
  if (exactness === null) return 'no step was taken';
  if (bitExactAmong !== null) return `${exactness} among ${bitExactAmong}`;
  return numericMode === null ? exactness : `${exactness} (${numericMode})`;
}

export function exactnessOf({ contributed, current, records }: CoordinatorState): Exactness | null {
  const [first] = contributed;
  if (current.step === 0 || !first) return null;
  const hadLiar = [...records.values()].some(
    ({ quarantined, unverified, shards }) => shards > 0 && (quarantined !== undefined || unverified === true),
  );
  if (hadLiar) return 'unverified';
  const isOneMode = contributed.every(
    ({ numericMode, numericsHash }) => numericMode === first.numericMode && numericsHash === first.numericsHash,
  );
  return isOneMode ? 'bit-exact' : 'sample-exact';
}
