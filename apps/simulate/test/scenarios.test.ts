/** Simulated runs keep their promises and repeat from their seed: any, with relays, and with coordinators in turn. */
import { RevisionConflict } from '@lockstep/fleet';
import type { Clock } from '@lockstep/protocol';
import {
  createProblem,
  type FaultKind,
  faults,
  lineOf,
  relayFaults,
  runFault,
  type Simulation,
  simulate,
} from '@lockstep/sim';
import { describe, expect, it } from 'vitest';
import { drain, newHash } from '../../../packages/compute/test/support.ts';
import { openReference, runScenario, type ScenarioOptions } from '../src/scenario.ts';
import { openSimulatedFleet, SimulatedStore } from '../src/simulated-fleet.ts';
import { shardsOf } from './shards.ts';

const backend = await openReference();

/** Most seeds to try: the rarest fault meets one run in fifteen. */
const mostSeeds = 600;

/**
 * Plays these seeds, and further ones while a kind of fault has met no run: promises mean nothing without faults.
 * @returns the kinds that met no run
 */
async function unmetFaults(
  seeds: readonly number[],
  kinds: readonly string[],
  play: (seed: number) => Promise<Readonly<Record<string, number>>>,
): Promise<string[]> {
  let unmet = [...kinds];
  for (let played = 0; played < seeds.length || (unmet.length > 0 && played < mostSeeds); played++) {
    const met = await play(seeds[played] ?? played + 1);
    unmet = unmet.filter((kind) => met[kind] === 0);
  }
  return unmet;
}

const firstSeeds = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

/** Plays a seed, whose run must keep every promise. */
async function kept(
  seed: number,
  options: ScenarioOptions = {},
): Promise<{ simulation: Simulation; description: string }> {
  const { fault, description, simulation } = await runScenario(backend, seed, options);
  expect(fault, description).toBeUndefined();
  return { simulation, description };
}

describe('a scenario', () => {
  it('of the first seeds keeps every promise, and of others that all kinds of faults meet', async () => {
    const seeds = [...firstSeeds(20), 57, 77, 94, 97, 103, 129];
    const unmet = await unmetFaults(seeds, Object.keys(faults), async (seed) => (await kept(seed)).simulation.met);
    expect(unmet).toEqual([]);
  });

  it('with honest workers quarantines none, numeric modes mixed', async () => {
    for (let seed = 101; seed <= 110; seed++) {
      const { simulation, description } = await kept(seed, { honest: true });
      expect(simulation.quarantined, description).toEqual([]);
    }
  });

  it.each<[seed: number, options: ScenarioOptions]>([
    [5, {}],
    [6, {}],
    [3, { relays: 'small' }],
  ])('of the seed %i repeats exactly: %j', async (seed, options) => {
    const one = (await kept(seed, options)).simulation;
    const other = (await kept(seed, options)).simulation;
    expect(other.chronicle).toEqual(one.chronicle);
    expect(other.virtualMs).toBe(one.virtualMs);
    expect(other.weights).toEqual(one.weights);
  });

  it('is told in words, a line for each event, in the order of virtual time', async () => {
    const { simulation } = await runScenario(backend, 1);
    const lines = simulation.chronicle.map(lineOf);
    for (const line of lines) expect(line).toMatch(/^ *\d+\.\d{3} s {2}\S.*$/);
    const times = lines.map((line) => Number.parseFloat(line));
    expect(times).toEqual([...times].sort((one, other) => one - other));
    expect(lines.join('\n')).toMatch(/ s {2}\* .*\n.* s {2}step 1 is taken, loss \d/s);
  });
});

describe('a run with relays', () => {
  it('of the first seeds keeps every promise, and of others that all kinds of faults meet', async () => {
    let [above, below] = [0, 0];
    const unmet = await unmetFaults([...firstSeeds(8), 22, 26, 33, 34], Object.keys(relayFaults), async (seed) => {
      const { simulation } = await kept(seed, { relays: 'small' });
      const shards = shardsOf(simulation);
      above += shards.above;
      below += shards.below;
      return simulation.met;
    });
    // The promises mean nothing unless a relay took part.
    expect(Math.min(above, below)).toBeGreaterThan(0);
    expect(unmet).toEqual([]);
  });

  it('has as many workers as were asked for, behind relays, whatever its seed draws', async () => {
    const { simulation, description } = await kept(3, { workers: 60 });
    expect(description).toMatch(/; 60 workers at the start; .*relays: (?:1 above )?[23];/);
    const { above, below } = shardsOf(simulation);
    expect(Math.min(above, below)).toBeGreaterThan(0);
  });
});

/** Plays a run of about 20 s of virtual time, in which every promise must be kept. */
async function playFleet(seed: number, faults: readonly FaultKind[], faultEveryMs = 4_000): Promise<Simulation> {
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

it('the simulated store gives each write a larger revision, and takes none for an older one', async () => {
  const clock: Clock = {
    nowMs: () => 0,
    after(_delayMs, callback) {
      queueMicrotask(callback);
      return () => {};
    },
  };
  const { values } = new SimulatedStore(clock).reach(clock, 'a');
  const first = await values.create('x', 'one');
  const second = await values.update('x', 'two', first);
  expect(second).toBeGreaterThan(first);
  await expect(values.update('x', 'three', first)).rejects.toThrow(RevisionConflict);
});

describe('a standby', () => {
  it('takes over when the lease of a coordinator that was killed has run out, from its checkpoint', async () => {
    let takeovers = 0;
    for (let seed = 1; seed <= 5; seed++) {
      const simulation = await playFleet(seed, ['crash']);
      const [killed] = happened(simulation, /^coordinator 1 is killed/);
      const next = happened(simulation, /^coordinator \d starts/)[1];
      if (!killed || !next || next.text.startsWith('coordinator 1')) continue;
      takeovers += 1;
      // The lease was renewed up to a second before the kill.
      expect(next.atMs - killed.atMs).toBeGreaterThan(4_000);
    }
    expect(takeovers).toBeGreaterThan(0);
  });

  it('leads at the same time as one that cannot reach the store, until that one is deposed: both compute the same weights', async () => {
    let deposed = 0;
    for (let seed = 1; seed <= 5; seed++) {
      const simulation = await playFleet(seed, ['store out of reach', 'join', 'kill'], 2_000);
      deposed += happened(simulation, /is deposed$/).length;
      const steps = simulation.chronicle.flatMap(({ happening }) => (happening.type === 'step' ? happening.step : []));
      if (happened(simulation, /is deposed$/).length > 0) expect(steps.length).toBeGreaterThan(new Set(steps).size);
    }
    expect(deposed).toBeGreaterThan(0);
  });

  it('does not lead while nobody can reach the store', async () => {
    for (let seed = 1; seed <= 2; seed++) {
      const simulation = await playFleet(seed, ['store away']);
      expect(happened(simulation, /^coordinator \d starts/)).toHaveLength(1);
    }
  });

  it('and the run outlive a store that loses what it has acknowledged', async () => {
    let lost = 0;
    for (let seed = 1; seed <= 5; seed++) {
      const simulation = await playFleet(seed, ['lost writes', 'crash', 'store away'], 1_500);
      lost += simulation.met['lost writes'];
    }
    expect(lost).toBeGreaterThan(10);
  });
});
