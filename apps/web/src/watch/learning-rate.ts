/** The learning rate of a run with a schedule, as a function of the step. */
import { learningRateAt, parseOptimizer } from '@lockstep/nn';

/**
 * @param optimizer plain data
 * @throws Error if this release does not know the optimizer
 */
export function learningRateOf(optimizer: unknown): (step: number) => number {
  const config = parseOptimizer(optimizer);
  return (step) => learningRateAt(config, step);
}
