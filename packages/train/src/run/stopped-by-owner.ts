/** Runs that their owner stops from the dashboard, which is no failure. */
import type { RunOutcome } from '@lockstep/training';

export const stoppedByOwner = 'stopped from the dashboard';

export function isStoppedByOwner(outcome: RunOutcome): boolean {
  return outcome.type === 'failed' && outcome.message === stoppedByOwner;
}
