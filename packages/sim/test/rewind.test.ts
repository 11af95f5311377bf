/** Runs go back when a liar is caught, and end with the oracle's weights; the cost is what the formula of docs says. */
import { describe, expect, it } from 'vitest';
import { drain, hostBackend } from '../../compute/test/support.ts';
import { simulate } from '../src/simulate.ts';
import { type Lie, lies } from '../src/simulated-worker.ts';
import { playLiars } from './liar-runs.ts';
import { createProblem } from './support.ts';

describe('one to three liars that begin to lie at random steps', () => {
  it.each(Object.keys(lies) as Lie[])('cost time only (%s)', async (lie) => {
    let caught = 0;
    for (let seed = 1; seed <= 6; seed++) {
      const { fault, isCaught, isOracle, exactness } = await playLiars(seed, [lie]);
      expect(fault, `seed ${seed}`).toBeUndefined();
      if (!isCaught) continue;
      caught += 1;
      expect([isOracle, exactness], `seed ${seed}`).toEqual([true, 'bit-exact']);
    }
    expect(caught).toBeGreaterThan(0);
  });
});

/**
 * Mean and variance of the number of wrong results that a liar sends until one is checked, if it begins after `right`
 * results: each result that is checked halves the rate of checks, down to `verifyRate`.
 */
function wrongUntilCaught(right: number, verifyRate: number): { readonly mean: number; readonly variance: number } {
  const rateAfter = (checked: number): number => Math.max(verifyRate, 2 ** -checked);
  let chances = [1];
  for (let result = 0; result < right; result++) {
    const next = new Array<number>(chances.length + 1).fill(0);
    for (const [checked, chance] of chances.entries()) {
      next[checked]! += chance * (1 - rateAfter(checked));
      next[checked + 1]! += chance * rateAfter(checked);
    }
    chances = next;
  }
  let [mean, square] = [0, 0];
  for (const [checked, chance] of chances.entries()) {
    const rate = rateAfter(checked);
    mean += chance / rate;
    square += (chance * (2 - rate)) / rate ** 2;
  }
  return { mean, variance: square - mean ** 2 };
}

describe('the number of wrong results until one is checked', () => {
  it.each([
    [0.001, 40],
    [0.001, 5],
    [0.05, 400],
  ])('is, at a rate of %d after %i right results, what the formula says', (verifyRate, right) => {
    const { mean } = wrongUntilCaught(right, verifyRate);
    // One more wrong result than right ones on average, unless the rate of the run is reached.
    expect(mean).toBeLessThanOrEqual(Math.min(right + 1, 1 / verifyRate) + 1e-9);
    if (1 / verifyRate > 10 * right) expect(mean).toBeGreaterThan(0.9 * right);
  });

  it.each([
    [0.02, 3],
    [0.02, 15],
    [0.1, 30],
  ])(
    'is, in simulated runs, what the formula says: at a rate of %d after %i right results',
    async (verifyRate, right) => {
      const backend = await hostBackend();
      let [runs, told] = [0, 0];
      for (let seed = 1; runs < 40; seed++) {
        const problem = await createProblem(backend, {
          ...{ seed: 1_000 * right + seed, samples: 32, batch: 16, microbatchSize: 2, epochs: 300, verifyRate },
        });
        const simulation = await simulate({
          ...{ run: problem.run, backend, drain, seed, limitMs: 3_600_000, corruptResults: 0 },
          ...{ workers: 1, liars: ['sign'], faultEveryMs: Number.POSITIVE_INFINITY },
          liarHabit: { lateMs: 0, boasts: false, isRelay: false, isFirst: false, honestResults: right },
          until: ({ type }) => type === 'quarantined',
        });
        const [[name, liar]] = [...simulation.told] as [[string, { right: number; wrong: number }]];
        const caught = simulation.events.find((event) => event.type === 'quarantined');
        const record = [...simulation.state.records.values()].find((worker) => worker.name === name);
        const counted = caught ? caught.shards + 1 : record!.shards;
        // A worker that is too slow for a share is only timed: its results do not count.
        if (counted < (liar.right + liar.wrong) / 2) continue;
        expect(caught).toBeDefined();
        runs += 1;
        told += liar.wrong;
      }
      const error = Math.sqrt(wrongUntilCaught(right, verifyRate).variance / runs);
      // The first results prove the worker, and are compared with those of others.
      const [least, most] = [Math.max(0, right - 3), right].map(
        (checked) => wrongUntilCaught(checked, verifyRate).mean,
      );
      expect(told / runs).toBeGreaterThan(least! - 4 * error);
      expect(told / runs).toBeLessThan(most! + 1 + 4 * error);
    },
  );
});
