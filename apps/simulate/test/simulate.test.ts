/** The command `npm run simulate`, in process: its scenarios hold, repeat, and their faults are seen. */
import { describe, expect, it } from 'vitest';
import { openReference, runScenario } from '../src/scenario.ts';

const backend = await openReference();
const freshSeed = Math.floor(Date.now() / 1000);

describe('a scenario', () => {
  it.each([1, 1_000, freshSeed])('of the 30 seeds from %i gives the weights of the oracle', async (first) => {
    for (let seed = first; seed < first + 30; seed++) {
      const { fault, description } = await runScenario(backend, seed);
      expect(fault, description).toBeUndefined();
    }
  });

  it('repeats exactly from its seed', async () => {
    const [one, other] = [await runScenario(backend, 5), await runScenario(backend, 5)];
    expect(other.simulation.events).toEqual(one.simulation.events);
    expect(other.simulation.virtualMs).toBe(one.simulation.virtualMs);
  });
});
