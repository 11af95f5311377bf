/** Scenarios of fresh seeds, as `npm run simulate` plays them, and trees of relays with a thousand workers. */
import { createProblem, runFault, simulate } from '@lockstep/sim';
import { expect, it } from 'vitest';
import { drain, newHash } from '../../../packages/compute/test/support.ts';
import { freshSeeds } from '../../../vitest.long.ts';
import { openReference, runScenario, type ScenarioOptions } from '../src/scenario.ts';
import { shardsOf } from './shards.ts';

const backend = await openReference();

it.each<[what: string, options: ScenarioOptions]>([
  ['any', {}],
  ['honest', { honest: true }],
  ['with relays', { relays: 'small' }],
  ['with 60 workers behind relays', { workers: 60 }],
])('scenarios keep every promise: %s', async (_, options) => {
  for (const seed of freshSeeds()) {
    const { fault, description, simulation } = await runScenario(backend, seed, options);
    expect(fault, description).toBeUndefined();
    if (options.honest) expect(simulation.quarantined, description).toEqual([]);
    if (options.workers) expect(description).toMatch(/; 60 workers at the start; .*relays: (?:1 above )?[23];/);
  }
});

it('a scenario repeats exactly from its seed', async () => {
  for (const relays of ['sometimes', 'small'] as const) {
    const [seed] = freshSeeds();
    const one = await runScenario(backend, seed!, { relays });
    const other = await runScenario(backend, seed!, { relays });
    expect(other.simulation.chronicle, `seed ${seed}`).toEqual(one.simulation.chronicle);
    expect(other.simulation.weights).toEqual(one.simulation.weights);
  }
});

it('a thousand workers behind relays give the weights of the oracle, while relays are killed and workers move', async () => {
  const [workers, relays] = [1_000, [32]];
  const limits = { maxWorkers: 2 * workers, maxWorkersPerAddress: workers };
  const geometry = { samples: workers, batch: workers, microbatchSize: 1, epochs: 3 };
  const times = { startWorkers: 2 * workers, startWithinMs: 10_000 };
  const problem = await createProblem(backend, newHash, { ...geometry, ...times, limits });
  const { run, ledger } = problem;
  const simulation = await simulate({
    ...{ run, ledger, backend, drain, seed: 1, workers, relays, corruptResults: 0, limitMs: 3_600_000 },
    ...{ faults: ['relay killed', 'relay cut', 'worker moves'], faultEveryMs: 15, faultsFromMs: times.startWithinMs },
  });
  expect(runFault(problem, simulation)).toBeUndefined();
  expect(simulation.met['relay killed']).toBeGreaterThan(0);
  const { above, below } = shardsOf(simulation);
  expect(above).toBeGreaterThanOrEqual(relays[0]!);
  expect(below).toBeGreaterThan(workers / 2);
});
