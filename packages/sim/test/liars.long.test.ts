/** Runs with liars of fresh seeds: every caught run ends with the oracle's weights, and says so. */
import { expect, it } from 'vitest';
import { freshSeeds } from '../../../vitest.long.ts';
import { type LiarRun, playLiars } from './liar-runs.ts';

it('one to three liars of any kind, at random steps, cost time only', async () => {
  const caught: LiarRun[] = [];
  let runs = 0;
  for (const seed of freshSeeds()) {
    const run = await playLiars(seed);
    runs += 1;
    expect(run.fault, `seed ${seed}`).toBeUndefined();
    if (!run.isCaught) continue;
    caught.push(run);
    expect([run.isOracle, run.exactness], `seed ${seed}`).toEqual([true, 'bit-exact']);
  }
  const lost = caught.map(({ again, steps }) => again / steps).sort((one, other) => one - other);
  const [median = 0, worst = 0] = [lost[lost.length >> 1], lost.at(-1)];
  const parts = [median, worst].map((part) => `${(100 * part).toFixed(1)} %`);
  const back = caught.reduce((sum, { rewinds }) => sum + rewinds, 0);
  process.stdout.write(
    `${runs} runs, ${caught.length} without a liar that was not caught, which went back ${back} times; steps taken again, as a part of the run's: median ${parts[0]}, worst ${parts[1]}\n`,
  );
});
