/** Checks the options about checkpoints, and makes their folder, before anything is started. */
import { accessSync, constants, mkdirSync } from 'node:fs';
import { usageFailure } from '@lockstep/command';
import type { CoordinatorOptions } from '../options.ts';

type CheckpointOptions = Pick<CoordinatorOptions, 'checkpoint' | 'checkpoint-every' | 'resume'>;

/** @throws CommandFailure with exit code 2 */
export function requireCheckpointFolder({ checkpoint: folder, ...others }: CheckpointOptions): void {
  if (folder === undefined) {
    for (const name of ['resume', 'checkpoint-every'] as const) {
      if (others[name] === undefined || others[name] === false) continue;
      throw usageFailure(`--${name}: expected with --checkpoint DIR, the folder of the checkpoints`);
    }
    return;
  }
  try {
    mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch {
    throw usageFailure(`--checkpoint: expected a folder that can be made, read and written to, got ${folder}`);
  }
}
