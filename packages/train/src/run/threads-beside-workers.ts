/** How many threads the coordinator's own sums, steps and evaluations get where workers compute the shards. */

/**
 * Measured with sgd on two free cores, the tree's additions and the step with 2 and with 8 shards: two threads take 1.1 and 1.4
 * times as long as one with 100,000 parameters, and one with 814,090 takes 1.6 and 1.5 times as long as two.
 */
const leastParameters = 500_000;
/** Sums and steps are bound by memory, which few threads use up. */
const mostThreads = 4;

/** @param freeCores those that local workers do not compute on */
export function threadsBesideWorkers(parameters: number, freeCores: number): number {
  return parameters < leastParameters ? 1 : Math.max(1, Math.min(mostThreads, freeCores));
}
