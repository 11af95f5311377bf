/** The inner steps of a replica, by which a round of DiLoCo sends one vector where each of them would send one. */

/**
 * A microbatch of a run with inner steps is a replica's: from the weights of the round it takes one step of SGD for
 * each `batch` of its samples, in their order, and its result is what that took from the weights, `before - after`. Its
 * momentum begins at 0. So a result is a function of weights, round and number of the replica.
 * Douillard et al., "DiLoCo: Distributed Low-Communication Training of Language Models", 2023.
 */
export interface InnerSteps {
  /** Samples in an inner step; the last one of a replica may have fewer. */
  readonly batch: number;
  readonly learningRate: number;
  /** From 0 to below 1. */
  readonly momentum: number;
}
