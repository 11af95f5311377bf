/** Runs with workers that lie: found within the steps that the rate predicts, and without harm to honest workers. */
import { describe, expect, it } from 'vitest';
import { type Simulation, simulate } from '../../src/simulator/simulate.ts';
import { type Lie, lies as lieTable } from '../../src/simulator/simulated-worker.ts';
import { createProblem, drain, hostBackend, type Problem } from '../support.ts';

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
  const problem = await createProblem(backend, {
    seed,
    samples: 64,
    batch: 32,
    microbatchSize: 2,
    epochs: 30,
    verifyRate,
  });
  const options = { run: problem.run, backend, drain, limitMs: 3_600_000, corruptResults: 0, seed, workers, liars };
  return { problem, simulation: await simulate({ ...options, faultEveryMs }) };
}

const lies = Object.keys(lieTable) as Lie[];

const quarantined = ({ state }: Simulation) => [...state.records.values()].filter((record) => record.quarantined);

describe('one liar among three workers', () => {
  it.each(lies.filter((lie) => lie !== 'no-answer'))('that sends a wrong result (%s) is quarantined', async (lie) => {
    for (let seed = 1; seed <= 4; seed++) {
      const { simulation } = await play({ seed, workers: 2, liars: [lie], verifyRate: 0.25 });
      expect(simulation.outcome).toEqual({ type: 'finished' });
      const liars = [...simulation.state.records.values()].filter(({ name }) => name === 'worker 3');
      // One whose trials all failed has been given nothing that counts.
      for (const { quarantined: reason, shards } of liars) expect(reason !== undefined || shards === 0).toBe(true);
      expect(quarantined(simulation).every(({ name }) => name === 'worker 3')).toBe(true);
      // It comes back under new identities, until its address is refused.
      expect(simulation.state.faults.quarantined).toBeLessThanOrEqual(3);
    }
  });

  it('changes no bit where every shard is verified', async () => {
    for (const lie of lies) {
      const { problem, simulation } = await play({ seed: 3, workers: 2, liars: [lie], verifyRate: 1 });
      expect(simulation.outcome, lie).toEqual({ type: 'finished' });
      expect(problem.run.parameterServer.weights(), lie).toEqual(problem.expected());
    }
  });
});

describe('liars in the majority', () => {
  it.each(lies)('(%s) change no bit where every shard is verified, since the coordinator decides', async (lie) => {
    const { problem, simulation } = await play({ seed: 5, workers: 1, liars: [lie, lie], verifyRate: 1 });
    expect(simulation.outcome).toEqual({ type: 'finished' });
    // Two that lie alike agree with each other.
    if (['one-bit', 'sign', 'scaled', 'loss', 'correct', 'reversed'].includes(lie)) return;
    expect(problem.run.parameterServer.weights()).toEqual(problem.expected());
  });
});

describe('honest workers', () => {
  it('are never quarantined, while they join, die and freeze', async () => {
    for (let seed = 1; seed <= 25; seed++) {
      const { problem, simulation } = await play({ seed, workers: 3, verifyRate: 0.25, faultEveryMs: 300 });
      expect(simulation.outcome).toEqual({ type: 'finished' });
      expect(quarantined(simulation)).toEqual([]);
      expect(problem.run.parameterServer.weights()).toEqual(problem.expected());
    }
  });
});
