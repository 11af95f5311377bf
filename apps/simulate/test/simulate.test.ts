/** The command `npm run simulate`, in process: scenarios keep their promises and repeat, and runs are told in words. */
import { type FaultKind, faults, lineOf } from '@lockstep/sim';
import { describe, expect, it } from 'vitest';
import { openReference, runScenario } from '../src/scenario.ts';
import { unmetFaults } from './unmet-faults.ts';

const backend = await openReference();

describe('a scenario', () => {
  it('of the 40 seeds from 1 keeps every promise', async () => {
    const kinds = Object.keys(faults) as FaultKind[];
    const unmet = await unmetFaults({ first: 1, count: 40, kinds }, async (seed) => {
      const { fault, description, simulation } = await runScenario(backend, seed);
      expect(fault, description).toBeUndefined();
      return simulation.met;
    });
    // The promises mean nothing unless every kind of fault met a run.
    expect(unmet).toEqual([]);
  });

  it('with honest workers quarantines none, numeric modes mixed', async () => {
    for (let seed = 101; seed <= 110; seed++) {
      const { fault, description, simulation } = await runScenario(backend, seed, { honest: true });
      expect(fault, description).toBeUndefined();
      expect(simulation.quarantined, description).toEqual([]);
    }
  });

  it('repeats exactly from its seed', async () => {
    for (const seed of [5, 6]) {
      const one = await runScenario(backend, seed);
      const other = await runScenario(backend, seed);
      expect(other.simulation.chronicle.map(lineOf)).toEqual(one.simulation.chronicle.map(lineOf));
      expect(other.simulation.virtualMs).toBe(one.simulation.virtualMs);
      expect(other.simulation.weights).toEqual(one.simulation.weights);
    }
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
