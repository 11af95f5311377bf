/** `kill -9` of a coordinator whose steps take long: `kill.test.ts` has one of short steps. */
import { it } from 'vitest';
import { killCoordinator } from './kill.ts';

it('of the coordinator at two moments: same model, few steps again, and workers come back', async () => {
  await killCoordinator({ seed: 1, kills: 2, options: ['--augment', 'shift', '--batch', '512'] });
});
