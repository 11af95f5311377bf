/** Why a run ended before its last step: as a person wished, which is no failure, or because it could not go on. */
import type { RunOutcome } from '@lockstep/training';

/** What the message of a run says that its owner stopped. */
export const stoppedByOwner = 'stopped from the dashboard';
/** What the message of a run says that the program stopped. */
export const stoppedByProgram = 'the coordinator was interrupted';

export interface EarlyEnd {
  readonly type: 'stopped' | 'failed';
  /** Why, and what to try, in one sentence. */
  readonly message: string;
}

/** Undefined for a run that took every step. */
export function earlyEndOf(outcome: RunOutcome): EarlyEnd | undefined {
  if (outcome.type === 'finished') return undefined;
  const { message } = outcome;
  const isStopped = message === stoppedByOwner || message === stoppedByProgram;
  return { type: isStopped ? 'stopped' : 'failed', message };
}

export function isStoppedByOwner(outcome: RunOutcome): boolean {
  return outcome.type === 'failed' && outcome.message === stoppedByOwner;
}
