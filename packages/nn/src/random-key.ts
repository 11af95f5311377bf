/** What fixes the random choices of a model in training; nothing in it depends on which worker computes. */
export interface RandomKey {
  /** The run's seed, a whole number below 2^32. */
  readonly seed: number;
  readonly step: number;
  /** Position of the first sample in its epoch's order; the others follow. */
  readonly firstSample: number;
}

/** Where a caller gives none. */
export const defaultKey: RandomKey = { seed: 0, step: 0, firstSample: 0 };
