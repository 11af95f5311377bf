/** Configuration of a run, fixed by its first coordinator for all later ones. */
import { hashOf } from './checkpoints.ts';
import { FleetError } from './fleet-error.ts';
import type { RunRecords } from './records.ts';
import { type Objects, RevisionConflict } from './store.ts';

/** Run that a coordinator wants to lead. */
export interface RunClaim {
  /** Everything that determines the bits of the run. */
  readonly config: string;
  /** Returns a phrase such as `expected seed 1, got 2` if the other configuration is of a different run. */
  readonly differenceFrom: (other: string) => string | undefined;
}

export interface Agreement {
  readonly objects: Objects;
  readonly records: RunRecords;
  readonly run: string;
  readonly claim: RunClaim;
}

/** @throws FleetError if the run has a different configuration */
export async function agreeOnConfig({ objects, records, run, claim }: Agreement): Promise<void> {
  const nameOf = (sha256: string): string => `${run}.config.${sha256}`;
  const sha256 = hashOf(claim.config);
  let found = await records.get('config');
  if (!found) {
    await objects.put(nameOf(sha256), new TextEncoder().encode(claim.config));
    try {
      await records.replace('config', { sha256 }, undefined);
      return;
    } catch (error) {
      if (!(error instanceof RevisionConflict)) throw error;
      found = await records.get('config');
    }
  }
  if (!found || found.value.sha256 === sha256) return;
  const other = await objects.get(nameOf(found.value.sha256));
  const difference = other && claim.differenceFrom(new TextDecoder().decode(other));
  const what = difference ?? 'expected the configuration with which it began, got another';
  throw new FleetError(
    `${run} has another configuration in this fleet: ${what}; another name begins another run`,
    'run',
  );
}
