/** What fixes the random choices that a model makes while it trains: nothing that depends on who computes. */
export interface RandomKey {
  /** The run's, a whole number below 2^32. */
  readonly seed: number;
  readonly step: number;
  /** Position of a group's first sample in its epoch's order; the others follow. */
  readonly firstSample: number;
}

/** Where nobody says otherwise. */
export const defaultKey: RandomKey = { seed: 0, step: 0, firstSample: 0 };
