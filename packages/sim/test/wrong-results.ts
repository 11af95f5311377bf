/** How many wrong results a liar sends until one is checked. */
import { expect } from 'vitest';
import { drain, hostBackend } from '../../compute/test/support.ts';
import { simulate } from '../src/simulate.ts';
import { createProblem } from './support.ts';

/**
 * Mean and variance of the number of wrong results that a liar sends until one is checked, if it begins after `right`
 * results: each result that is checked halves the rate of checks, down to `verifyRate`.
 */
export function wrongUntilCaught(
  right: number,
  verifyRate: number,
): { readonly mean: number; readonly variance: number } {
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

/** Expects the mean number of wrong results in 40 simulated runs to be near that of the formula. */
export async function expectFormula(verifyRate: number, right: number): Promise<void> {
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
  const [least, most] = [Math.max(0, right - 3), right].map((checked) => wrongUntilCaught(checked, verifyRate).mean);
  expect(told / runs).toBeGreaterThan(least! - 4 * error);
  expect(told / runs).toBeLessThan(most! + 1 + 4 * error);
}
