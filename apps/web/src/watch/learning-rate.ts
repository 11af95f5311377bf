/** The learning rate of a run with a schedule, step by step. */
import { learningRateAt, parseOptimizer } from '@lockstep/nn';

/** @param optimizer plain data; @throws Error where this release does not know it */
export function learningRateOf(optimizer: unknown): (step: number) => number {
  const config = parseOptimizer(optimizer);
  return (step) => learningRateAt(config, step);
}
