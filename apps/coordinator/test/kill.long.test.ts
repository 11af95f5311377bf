/** `kill -9` at random steps from a fresh seed, round after round. */
import { randomStream } from '@lockstep/tensor';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { freshSeeds } from '../../../vitest.long.ts';
import { killCoordinator, killWorkers } from './kill.ts';
import { runToReport } from './processes.ts';

const args = ['--steps', '200'];

it('of one of three workers at any step changes no bit', async () => {
  const { report } = await runToReport(temporaryFolder(), ['--single', ...args]);
  for (const seed of freshSeeds()) {
    const chance = randomStream(seed);
    const [atStep, first] = [Math.floor(190 * chance()), Math.floor(3 * chance())];
    expect(await killWorkers(args, [atStep], { first }), `seed ${seed}`).toBe(report.weightsSha256);
  }
});

it('of the coordinator at any steps leaves the model as it is', async () => {
  for (const seed of freshSeeds()) await killCoordinator({ seed, kills: 5, options: ['--batch', '512'] });
});
