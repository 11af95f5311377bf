/** Chooses the checkpoint that a run goes on from, and says why the others are none. */
import { errorMessage } from '../error-message.ts';
import { sha256 } from '../node/sha256.ts';
import { type Checkpoint, decodeCheckpoint, type RunIdentity } from './checkpoint.ts';
import { identityFault } from './identity-fault.ts';
import type { StoredCheckpoint } from './store.ts';

export interface Candidate {
  readonly stored: StoredCheckpoint;
  readonly checkpoint: Checkpoint;
}

export interface Choice {
  /** The newest one that fits. */
  readonly chosen: Candidate | undefined;
  /** Newer ones that do not. */
  readonly passedOver: readonly { readonly stored: StoredCheckpoint; readonly reason: string }[];
}

/**
 * @param stored the newest first
 * @param identity of the run that is to go on
 * @param steps of it in all
 */
export async function chooseCheckpoint(
  stored: readonly StoredCheckpoint[],
  identity: RunIdentity,
  steps: number,
): Promise<Choice> {
  const passedOver: { stored: StoredCheckpoint; reason: string }[] = [];
  for (const one of stored) {
    try {
      const checkpoint = decodeCheckpoint(await one.read(), sha256);
      const fault = identityFault(identity, checkpoint.identity) ?? stepFault(checkpoint.step, steps);
      if (fault === undefined) return { chosen: { stored: one, checkpoint }, passedOver };
      passedOver.push({ stored: one, reason: fault });
    } catch (error) {
      passedOver.push({ stored: one, reason: errorMessage(error) });
    }
  }
  return { chosen: undefined, passedOver };
}

function stepFault(step: number, steps: number): string | undefined {
  return step > steps ? `it is after step ${step}, past the ${steps} steps of this run` : undefined;
}
