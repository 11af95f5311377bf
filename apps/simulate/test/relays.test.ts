/** Trees of relays with faults must give the oracle's weights. */
import { relayFaults } from '@lockstep/sim';
import { describe, expect, it } from 'vitest';
import { openReference, runScenario } from '../src/scenario.ts';
import { shardsOf } from './shards.ts';
import { unmetFaults } from './unmet-faults.ts';

const backend = await openReference();

describe('a run with relays', () => {
  it('of the 12 seeds from 1 keeps every promise', async () => {
    const kinds = Object.keys(relayFaults) as (keyof typeof relayFaults)[];
    let [above, below] = [0, 0];
    const unmet = await unmetFaults({ first: 1, count: 12, kinds }, async (seed) => {
      const { fault, description, simulation } = await runScenario(backend, seed, { relays: 'small' });
      expect(fault, description).toBeUndefined();
      const shards = shardsOf(simulation);
      above += shards.above;
      below += shards.below;
      return simulation.met;
    });
    // The promises mean nothing unless a relay took part and faults met the runs.
    expect(Math.min(above, below)).toBeGreaterThan(0);
    expect(unmet).toEqual([]);
  });

  it('repeats exactly from its seed', async () => {
    const one = await runScenario(backend, 3, { relays: 'small' });
    const other = await runScenario(backend, 3, { relays: 'small' });
    expect(other.simulation.chronicle).toEqual(one.simulation.chronicle);
    expect(other.simulation.weights).toEqual(one.simulation.weights);
  });

  it('has as many workers as were asked for, behind relays, whatever its seed draws', async () => {
    const { fault, description, simulation } = await runScenario(backend, 3, { workers: 60 });
    expect(fault, description).toBeUndefined();
    expect(description).toMatch(/; 60 workers at the start; .*relays: (?:1 above )?[23];/);
    const { above, below } = shardsOf(simulation);
    expect(Math.min(above, below)).toBeGreaterThan(0);
  });
});
