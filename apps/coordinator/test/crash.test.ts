/** A coordinator that is killed goes on from its checkpoints, and the model is the one of a run that nothing disturbed. */
import { it } from 'vitest';
import { killCoordinator } from './crash.ts';

it('kill -9 of the coordinator at two moments: same model, few steps again, and workers come back', async () => {
  await killCoordinator({ seed: 1, kills: 2 });
});
