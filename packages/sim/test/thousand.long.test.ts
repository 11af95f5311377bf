/** A thousand workers at one coordinator give the oracle's weights. */
import { expect, it } from 'vitest';
import { drain, hostBackend } from '../../compute/test/support.ts';
import { runFault } from '../src/run-fault.ts';
import { simulate } from '../src/simulate.ts';
import { createProblem } from './support.ts';

it('a thousand workers give the weights of the oracle, while some are killed, freeze or join', async () => {
  const backend = await hostBackend();
  const workers = 1_000;
  const limits = { maxWorkers: 2 * workers, maxWorkersPerAddress: workers };
  const geometry = { samples: workers, batch: workers, microbatchSize: 1, epochs: 2 };
  const problem = await createProblem(backend, { ...geometry, startWorkers: workers, limits });
  const { run, ledger } = problem;
  const scenario = { seed: 1, workers, faultEveryMs: 10, corruptResults: 0, limitMs: 3_600_000 };
  const simulation = await simulate({ run, ledger, backend, drain, ...scenario });
  expect(runFault(problem, simulation)).toBeUndefined();
  expect(simulation.state.joined).toBeGreaterThanOrEqual(workers);
  expect(simulation.state.faults.disconnects).toBeGreaterThan(0);
});
