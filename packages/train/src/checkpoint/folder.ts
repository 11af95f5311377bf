/** Makes the folder of a run's checkpoints, before anything is started. */
import { accessSync, constants, mkdirSync } from 'node:fs';
import { configurationError, named } from '@lockstep/worker';
import type { CheckpointOptions } from '../options.ts';

/** @throws ConfigurationError where it cannot be used */
export function requireCheckpointFolder(checkpoint: CheckpointOptions | undefined): void {
  if (!checkpoint || checkpoint.store) return;
  const { folder = '' } = checkpoint;
  try {
    mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch {
    throw configurationError`${named('checkpoint.folder')}: expected a folder that can be made, read and written to, got ${folder}`;
  }
}
