/** Coordinators that take turns, with the real lease and finder, and a simulated store. */
import { createHash } from 'node:crypto';
import { createProblem, type FaultKind, runFault, type Simulation, simulate } from '@lockstep/sim';
import { describe, expect, it } from 'vitest';
import { openSimulatedFleet } from '../src/fleet-in-virtual-time.ts';
import { openReference } from '../src/scenario.ts';

const backend = await openReference();
const newHash = () => createHash('sha256');
const drain = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Plays a run of about 20 s of virtual time, in which every promise must be kept. */
async function play(seed: number, faults: readonly FaultKind[], faultEveryMs = 4_000): Promise<Simulation> {
  const problem = await createProblem(backend, newHash, { seed, epochs: 15 });
  const { run, ledger, resume } = problem;
  const simulation = await simulate({
    ...{ run, ledger, resume, backend, seed, drain, faults, faultEveryMs },
    fleet: { coordinators: 2, open: openSimulatedFleet },
    ...{ workers: 3, corruptResults: 0, bytesPerMs: 1, checkpointEvery: 3, calmAtMs: 30_000, limitMs: 3_600_000 },
  });
  expect(runFault(problem, simulation), `seed ${seed}`).toBeUndefined();
  return simulation;
}

/** Returns the matching faults, with their times in milliseconds. */
function happened({ chronicle }: Simulation, pattern: RegExp): { readonly atMs: number; readonly text: string }[] {
  return chronicle.flatMap(({ atMs, happening }) =>
    happening.type === 'fault' && pattern.test(happening.text) ? [{ atMs, text: happening.text }] : [],
  );
}

describe('a standby', () => {
  it('takes over when the lease of a coordinator that was killed has run out, from its checkpoint', async () => {
    let takeovers = 0;
    for (let seed = 1; seed <= 10; seed++) {
      const simulation = await play(seed, ['crash']);
      const [killed] = happened(simulation, /^coordinator 1 is killed/);
      const next = happened(simulation, /^coordinator \d starts/)[1];
      if (!killed || !next || next.text.startsWith('coordinator 1')) continue;
      takeovers += 1;
      // The lease was renewed up to a second before the kill.
      expect(next.atMs - killed.atMs).toBeGreaterThan(4_000);
    }
    expect(takeovers).toBeGreaterThan(0);
  });

  it('leads beside one that does not reach the store, until that one is deposed: both compute the same weights', async () => {
    let deposed = 0;
    for (let seed = 1; seed <= 10; seed++) {
      const simulation = await play(seed, ['store out of reach', 'join', 'kill'], 2_000);
      deposed += happened(simulation, /is deposed$/).length;
      const steps = simulation.chronicle.flatMap(({ happening }) => (happening.type === 'step' ? happening.step : []));
      if (happened(simulation, /is deposed$/).length > 0) expect(steps.length).toBeGreaterThan(new Set(steps).size);
    }
    expect(deposed).toBeGreaterThan(0);
  });

  it('does not lead where the store is away for all', async () => {
    for (let seed = 1; seed <= 5; seed++) {
      const simulation = await play(seed, ['store away']);
      expect(happened(simulation, /^coordinator \d starts/)).toHaveLength(1);
    }
  });

  it('and the run outlive a store that loses what it has acknowledged', async () => {
    let lost = 0;
    for (let seed = 1; seed <= 10; seed++) {
      const simulation = await play(seed, ['lost writes', 'crash', 'store away'], 1_500);
      lost += simulation.met['lost writes'];
    }
    expect(lost).toBeGreaterThan(10);
  });
});
