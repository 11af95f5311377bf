/** A killed coordinator resumes from its checkpoints, and produces the same model as an undisturbed run. */
import { it } from 'vitest';
import { killCoordinator } from './crash.ts';

it('kill -9 of the coordinator at two moments: same model, few steps again, and workers come back', async () => {
  await killCoordinator({ seed: 1, kills: 2 });
});
