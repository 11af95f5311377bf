/** Where several coordinators of one run keep its checkpoints: one trains, the others wait. */
import type { RunIdentity } from './checkpoint.ts';
import { identityDifference } from './identity-fault.ts';
import type { CheckpointStore } from './store.ts';

/** A coordinator of a fleet is one. */
export interface SharedCheckpoints extends Pick<CheckpointStore, 'list' | 'write'> {
  /** For people. */
  readonly place: string;
  /** Called before anything is read; resolves when this process is to train. @throws Error where it is not to */
  open(claim: RunClaim): Promise<void>;
}

/** The run that a coordinator wants to train. */
export interface RunClaim {
  /** All that fixes the bits of the run, as JSON. */
  readonly config: string;
  /** Such as `expected seed 1, got 2`, where this run is not that of the other configuration. */
  readonly differenceFrom: (other: string) => string | undefined;
}

/** @param steps of the run in all */
export function claimOf(identity: RunIdentity, steps: number): RunClaim {
  const config = JSON.stringify({ ...identity, steps });
  return { config, differenceFrom: (other) => identityDifference(JSON.parse(other), JSON.parse(config)) };
}
