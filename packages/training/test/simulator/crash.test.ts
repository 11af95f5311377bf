/** Runs whose coordinator crashes: the weights are the oracle's, and few steps are computed again. */
import { describe, expect, it } from 'vitest';
import type { FaultKind } from '../../src/simulator/faults.ts';
import { runFault } from '../../src/simulator/run-fault.ts';
import { type Simulation, simulate } from '../../src/simulator/simulate.ts';
import { createProblem, drain, hostBackend } from '../support.ts';

const checkpointEvery = 3;
const backend = await hostBackend();

async function play(seed: number, faults: readonly FaultKind[]): Promise<Simulation> {
  const problem = await createProblem(backend, { seed, epochs: 12 });
  const { run, ledger, resume } = problem;
  const scenario = { seed, workers: 3, faults, faultEveryMs: 300, calmAtMs: 5_000, corruptResults: 0, checkpointEvery };
  const simulation = await simulate({ run, ledger, resume, backend, drain, limitMs: 3_600_000, ...scenario });
  expect(runFault(problem, simulation)).toBeUndefined();
  return simulation;
}

/** For each life of the coordinator, the steps that it took. */
function stepsOfLives({ chronicle }: Simulation): number[][] {
  const lives: number[][] = [[]];
  for (const { happening } of chronicle) {
    if (happening.type === 'step') lives.at(-1)!.push(happening.step);
    else if (happening.type === 'fault' && happening.text.startsWith('the coordinator starts again')) lives.push([]);
  }
  return lives;
}

describe('a coordinator that crashes', () => {
  it('goes on from its newest checkpoint, and its workers come back by themselves', async () => {
    let again = 0;
    for (let seed = 1; seed <= 10; seed++) {
      const simulation = await play(seed, ['crash']);
      expect(simulation.crashed.length).toBe(simulation.met.crash);
      const lives = stepsOfLives(simulation).filter((steps) => steps.length > 0);
      for (const [index, steps] of lives.slice(1).entries()) {
        const repeated = lives[index]!.at(-1)! + 1 - steps[0]!;
        // One checkpoint may have been under way, and is lost.
        expect(repeated).toBeGreaterThanOrEqual(0);
        expect(repeated).toBeLessThan(2 * checkpointEvery);
        again += repeated;
      }
    }
    expect(again).toBeGreaterThan(0);
  });

  it('goes on from an older one where the newest is torn or the disk was full', async () => {
    let met = 0;
    for (let seed = 1; seed <= 10; seed++) {
      const simulation = await play(seed, ['crash', 'torn checkpoint', 'full disk']);
      met += Math.min(1, simulation.met.crash) * (simulation.met['torn checkpoint'] + simulation.met['full disk']);
    }
    expect(met).toBeGreaterThan(10);
  });
});
