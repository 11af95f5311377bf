/** Trees of relays with faults: the weights are the oracle's, also with a thousand workers. */
import { createHash } from 'node:crypto';
import { createProblem, relayFaults, runFault, type Simulation, simulate } from '@lockstep/training/simulator';
import { describe, expect, it } from 'vitest';
import { openReference, runScenario } from '../src/scenario.ts';
import { unmetFaults } from './unmet-faults.ts';

const backend = await openReference();
const newHash = () => createHash('sha256');
const drain = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const freshSeed = Math.floor(Date.now() / 1000);

/** Shards whose sum came from a relay, and those that workers behind relays computed. */
function shardsOf({ state, others, relays }: Simulation): { readonly above: number; readonly below: number } {
  const sum = (states: Simulation['others'], isCounted: (kind: string) => boolean): number =>
    states
      .flatMap(({ records }) => [...records.values()])
      .reduce((total, { kind, shards }) => total + (isCounted(kind) ? shards : 0), 0);
  return { above: sum([state, ...others], (kind) => kind === 'relay'), below: sum(relays, () => true) };
}

describe('a run with relays', () => {
  it.each([1, freshSeed])('of the 12 seeds from %i keeps every promise', async (first) => {
    const kinds = Object.keys(relayFaults) as (keyof typeof relayFaults)[];
    let [above, below] = [0, 0];
    const unmet = await unmetFaults({ first, count: 12, kinds }, async (seed) => {
      const { fault, description, simulation } = await runScenario(backend, seed, { relays: 'small' });
      expect(fault, description).toBeUndefined();
      const shards = shardsOf(simulation);
      above += shards.above;
      below += shards.below;
      return simulation.met;
    });
    // The promises mean nothing where no relay took part, or no fault met one.
    expect(Math.min(above, below)).toBeGreaterThan(0);
    expect(unmet).toEqual([]);
  });

  it('repeats exactly from its seed', async () => {
    const one = await runScenario(backend, freshSeed, { relays: 'small' });
    const other = await runScenario(backend, freshSeed, { relays: 'small' });
    expect(other.simulation.chronicle).toEqual(one.simulation.chronicle);
    expect(other.simulation.weights).toEqual(one.simulation.weights);
  });

  it('has as many workers as were asked for, behind relays, whatever its seed draws', async () => {
    let [above, below] = [0, 0];
    for (const seed of [1, freshSeed]) {
      const { fault, description, simulation } = await runScenario(backend, seed, { workers: 60 });
      expect(fault, description).toBeUndefined();
      expect(description).toMatch(/; 60 workers at the start; .*relays: (?:1 above )?[23];/);
      const shards = shardsOf(simulation);
      above += shards.above;
      below += shards.below;
    }
    // In one run of eight the few workers that go past the relays are done sooner.
    expect(Math.min(above, below)).toBeGreaterThan(0);
  });

  it('and a thousand workers gives the weights of the oracle, while relays are killed and workers move', async () => {
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
});
