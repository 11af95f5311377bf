/** Runs whose coordinator crashes must give the oracle's weights and repeat few steps. */
import { describe, expect, it } from 'vitest';
import { drain, hostBackend } from '../../compute/test/support.ts';
import type { FaultKind } from '../src/faults.ts';
import { runFault } from '../src/run-fault.ts';
import { type Simulation, simulate } from '../src/simulate.ts';
import { createProblem } from './support.ts';

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

interface Life {
  readonly steps: { readonly step: number; readonly atMs: number }[];
  endsAtMs: number;
}

/** Returns the steps that each life of the coordinator took. */
function livesOf({ chronicle }: Simulation): Life[] {
  const lives: Life[] = [{ steps: [], endsAtMs: 0 }];
  for (const { happening, atMs } of chronicle) {
    const life = lives.at(-1)!;
    if (happening.type === 'step') life.steps.push({ step: happening.step, atMs });
    else if (happening.type === 'fault' && happening.text.startsWith('the coordinator is killed')) life.endsAtMs = atMs;
    else if (happening.type === 'fault' && happening.text.startsWith('the coordinator starts again')) {
      lives.push({ steps: [], endsAtMs: 0 });
    }
  }
  return lives.filter(({ steps }) => steps.length > 0);
}

/** Most time that a simulated disk takes to write a checkpoint. */
const mostWriteMs = 100;

describe('a coordinator that crashes', () => {
  it('goes on from its newest checkpoint, and its workers come back by themselves', async () => {
    let again = 0;
    for (let seed = 1; seed <= 5; seed++) {
      const simulation = await play(seed, ['crash']);
      expect(simulation.others.length).toBe(simulation.met.crash);
      const lives = livesOf(simulation);
      for (const [index, { steps }] of lives.slice(1).entries()) {
        const before = lives[index]!;
        const repeated = before.steps.at(-1)!.step + 1 - steps[0]!.step;
        // Checkpoints that were being written are lost.
        const meanwhile = before.steps.filter(({ atMs }) => atMs >= before.endsAtMs - mostWriteMs).length;
        expect(repeated).toBeGreaterThanOrEqual(0);
        expect(repeated).toBeLessThan(checkpointEvery + meanwhile);
        again += repeated;
      }
    }
    expect(again).toBeGreaterThan(0);
  });

  it('goes on from an older one if the newest is torn or the disk was full', async () => {
    let met = 0;
    for (let seed = 1; seed <= 20; seed++) {
      const simulation = await play(seed, ['crash', 'torn checkpoint', 'full disk']);
      met += Math.min(1, simulation.met.crash) * (simulation.met['torn checkpoint'] + simulation.met['full disk']);
    }
    expect(met).toBeGreaterThan(20);
  });
});
