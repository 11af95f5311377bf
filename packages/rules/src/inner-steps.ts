/** The inner steps of a replica. A round of DiLoCo sends one vector instead of one per inner step. */

/**
 * In a run with inner steps, each microbatch is a replica. Starting at the round's weights, it takes one SGD step for
 * each `batch` of its samples, in order. Its result is the change `before - after`. Momentum starts at 0, so a result
 * is a function of weights, round and replica number.
 * Douillard et al., "DiLoCo: Distributed Low-Communication Training of Language Models", 2023.
 */
export interface InnerSteps {
  /** Samples in an inner step; the last one of a replica may have fewer. */
  readonly batch: number;
  readonly learningRate: number;
  /** At least 0 and less than 1. */
  readonly momentum: number;
}
