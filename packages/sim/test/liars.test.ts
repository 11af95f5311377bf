/** Runs with liars: they are found within the steps that the verify rate predicts, without harm to honest workers. */

import { exactnessOf } from '@lockstep/rules';
import { describe, expect, it } from 'vitest';
import { drain, hostBackend } from '../../compute/test/support.ts';
import { runFault } from '../src/run-fault.ts';
import { type Simulation, simulate } from '../src/simulate.ts';
import { type Lie, lies as lieTable } from '../src/simulated-worker.ts';
import { createProblem, type Problem } from './support.ts';

interface Scenario {
  readonly seed: number;
  readonly workers: number;
  readonly liars?: readonly Lie[];
  readonly verifyRate: number;
  readonly faultEveryMs?: number;
}

async function play(scenario: Scenario): Promise<{ problem: Problem; simulation: Simulation }> {
  const { seed, workers, liars = [], verifyRate, faultEveryMs = Number.POSITIVE_INFINITY } = scenario;
  const backend = await hostBackend();
  const geometry = { samples: 64, batch: 32, microbatchSize: 2, epochs: 30 };
  const problem = await createProblem(backend, { ...geometry, seed, verifyRate });
  const options = { run: problem.run, backend, drain, limitMs: 3_600_000, corruptResults: 0, seed, workers, liars };
  return { problem, simulation: await simulate({ ...options, faultEveryMs }) };
}

const lies = Object.keys(lieTable) as Lie[];

const verifyRate = 0.25;

describe('one liar among three workers', () => {
  it.each(lies.filter((lie) => lie !== 'no-answer'))('that sends a wrong result (%s) is quarantined', async (lie) => {
    const rounds = 4;
    let added = 0;
    for (let seed = 1; seed <= rounds; seed++) {
      const { problem, simulation } = await play({ seed, workers: 2, liars: [lie], verifyRate });
      expect(runFault(problem, simulation)).toBeUndefined();
      const found = simulation.events.filter((event) => event.type === 'quarantined');
      const liars = [...simulation.state.records.values()].filter(({ name }) => name === 'worker 3');
      // A liar whose trials all failed was never given a shard that counts.
      expect(found.length > 0 || liars.every(({ shards }) => shards === 0)).toBe(true);
      added += found[0]?.shards ?? 0;
      expect(exactnessOf(simulation.state)).toBe('bit-exact');
      // The liar returns under new identities until its address is refused.
      expect(simulation.state.faults.quarantined).toBeLessThanOrEqual(3);
    }
    // Results before the first checked one follow a geometric distribution: at most three standard errors above its
    // mean.
    const mean = (1 - verifyRate) / verifyRate;
    const deviation = Math.sqrt(1 - verifyRate) / verifyRate;
    expect(added / rounds).toBeLessThan(mean + (3 * deviation) / Math.sqrt(rounds));
  });
});

describe.each([
  { who: 'one liar of three workers', seed: 3, workers: 2, count: 1 },
  { who: 'two liars of three workers', seed: 5, workers: 1, count: 2 },
])('$who', ({ seed, workers, count }) => {
  it.each(lies)('(%s) change no bit if every shard is checked, since the coordinator decides', async (lie) => {
    const liars = new Array<Lie>(count).fill(lie);
    const { problem, simulation } = await play({ seed, workers, liars, verifyRate: 1 });
    expect(simulation.outcome).toEqual({ type: 'finished' });
    expect(problem.run.parameterServer.weights()).toEqual(problem.expected());
  });
});

describe('honest workers', () => {
  it('are never quarantined, while they join, die and freeze', async () => {
    for (let seed = 1; seed <= 10; seed++) {
      const { problem, simulation } = await play({ seed, workers: 3, verifyRate, faultEveryMs: 300 });
      expect(runFault(problem, simulation)).toBeUndefined();
      expect(simulation.quarantined).toEqual([]);
    }
  });
});
