/** What a run's checkpoints mean to the person who watches it, in words. */
import { whole } from '../look/format.ts';
import type { Checkpoint } from './run-store.ts';

/** Of a run that went on from a checkpoint; empty for others. */
export function resumedText(checkpoint: Checkpoint | undefined): string {
  return checkpoint?.resumed ? `, resumed after step ${whole(checkpoint.resumed.step)}` : '';
}

/** Of a run that was cut off; empty where no checkpoint is left of it. */
export function goesOnText(checkpoint: Checkpoint | undefined): string {
  if (!checkpoint?.newest) return '';
  const { step, file } = checkpoint.newest;
  return `Started again with --resume, the run goes on after step ${whole(step)}, from ${file}.`;
}
