/** Runs in virtual time. */
import { drain, hostBackend } from '../../compute/test/support.ts';
import { type Simulation, simulate } from '../src/simulate.ts';
import { createProblem, type Problem, type ProblemOptions } from './support.ts';

interface Scenario {
  readonly seed: number;
  readonly workers: number;
  readonly faultEveryMs: number;
  readonly corruptResults: number;
  readonly bytesPerMs?: number;
  readonly stutterEveryMs?: readonly number[];
}

/** Simulates a problem that its seed draws. */
export async function simulateScenario(
  scenario: Scenario,
  options: ProblemOptions,
): Promise<{ problem: Problem; simulation: Simulation }> {
  const backend = await hostBackend();
  const problem = await createProblem(backend, { seed: scenario.seed, ...options });
  const simulation = await simulate({ run: problem.run, backend, drain, limitMs: 3_600_000, ...scenario });
  return { problem, simulation };
}
