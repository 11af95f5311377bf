/** The simulator's small problem, with Node's hash. */
import type { HostBackend } from '@lockstep/tensor';
import { newHash } from '../../compute/test/support.ts';
import { createProblem as createProblemWith, type Problem, type ProblemOptions, tinyProblem } from '../src/problem.ts';

export const { model, optimizer, datasetOf: tinyDataset } = tinyProblem;

export type { Problem, ProblemOptions } from '../src/problem.ts';

export function createProblem(backend: HostBackend, options?: ProblemOptions): Promise<Problem> {
  return createProblemWith(backend, newHash, options);
}
