/** Opens a run's checkpoints, and chooses the one to resume from. */
import { join } from 'node:path';
import { newSha256, sha256 } from '../node/sha256.ts';
import type { CheckpointOptions } from '../options.ts';
import { identityOf, type Prepared } from '../prepared.ts';
import type { WrittenCheckpoint } from '../record/recorder.ts';
import { errorMessage, thousands } from '../words.ts';
import { type Checkpoint, decodeCheckpoint, identityFault, type RunIdentity } from './checkpoint.ts';
import { type CheckpointInterval, defaultInterval, intervalText } from './interval.ts';
import { CheckpointStore, newRunName, runClaimOf, type SharedCheckpoints, type StoredCheckpoint } from './store.ts';

export interface OpenedCheckpoints {
  readonly store: Pick<CheckpointStore, 'list' | 'write'>;
  readonly runName: string;
  readonly interval: CheckpointInterval;
  readonly identity: RunIdentity;
  /** The checkpoint that the run resumes from; undefined if it starts from the beginning. */
  readonly resumeFrom: Checkpoint | undefined;
  readonly resumed: WrittenCheckpoint | undefined;
  /** Messages for the person who started the run. */
  readonly lines: readonly string[];
}

interface Store {
  readonly store: CheckpointStore | SharedCheckpoints;
  /** Description for people. */
  readonly place: string;
  /** Describes the place of a checkpoint, for people. */
  readonly at: (file: string) => string;
  readonly resume: boolean;
}

/** Undefined in a run without checkpoints. */
export async function openCheckpoints(prepared: Prepared): Promise<OpenedCheckpoints | undefined> {
  if (!prepared.checkpoint) return undefined;
  const { every: interval = defaultInterval } = prepared.checkpoint;
  const { store, place, at, resume } = storeOf(prepared.checkpoint);
  const { steps } = prepared.plan;
  const identity = identityOf(prepared, newSha256);
  if ('open' in store) await store.open(runClaimOf(identity, steps));
  const stored = await store.list();
  const choice = await chooseCheckpoint(stored, identity, steps);
  const common = { store, interval, identity };
  const { chosen, passedOver } = choice;
  if (!resume || !chosen) {
    // The first coordinator of a shared run finds no checkpoints.
    const isNew = 'open' in store && stored.length === 0;
    const lines = resume && !isNew ? [...passedOverLines(choice), startsAnew(place)] : offer(at, choice, steps);
    const where = `Checkpoints: ${intervalText(interval)}, in ${place}`;
    const runName = newRunName(stored, new Date());
    return { ...common, runName, resumeFrom: undefined, resumed: undefined, lines: [...lines, where] };
  }
  const { checkpoint: resumeFrom } = chosen;
  const file = chosen.stored.name;
  // Newer files do not belong to this run and must not be removed; the run's own files must sort after them.
  const runName = passedOver.length === 0 ? chosen.stored.run : newRunName(stored, new Date());
  const lines = [...passedOverLines(choice), resumedLine(at(file), resumeFrom.step, prepared)];
  return { ...common, runName, resumeFrom, resumed: { file, step: resumeFrom.step }, lines };
}

function storeOf({ folder = '', store, resume = false }: CheckpointOptions): Store {
  if (!store) return { store: new CheckpointStore(folder), place: folder, at: (file) => join(folder, file), resume };
  return { store, place: store.place, at: (file) => `${file} in ${store.place}`, resume: true };
}

function passedOverLines({ passedOver }: Choice): string[] {
  return passedOver.map(({ stored, reason }) => `Passed over ${stored.name}: ${reason}.`);
}

function startsAnew(place: string): string {
  return `No checkpoint in ${place} fits this run, which starts anew.`;
}

function resumedLine(file: string, step: number, { plan }: Prepared): string {
  if (step === plan.steps) return `${file} is of the end of this run: every step had been taken.`;
  return `Resumed from ${file}, after step ${thousands(step)} of ${thousands(plan.steps)}.`;
}

/** Offers to resume an interrupted run from its checkpoint. */
function offer(at: Store['at'], { chosen }: Choice, steps: number): string[] {
  if (!chosen || chosen.checkpoint.step === steps) return [];
  const { step } = chosen.checkpoint;
  const what = `${at(chosen.stored.name)} is of this run, cut off after step ${thousands(step)}`;
  return [`${what}: with resume, a run goes on from it. This one starts anew, and leaves it there.`];
}

export interface Candidate {
  readonly stored: StoredCheckpoint;
  readonly checkpoint: Checkpoint;
}

export interface Choice {
  /** The newest checkpoint that fits. */
  readonly chosen: Candidate | undefined;
  /** Newer checkpoints that do not fit. */
  readonly passedOver: readonly { readonly stored: StoredCheckpoint; readonly reason: string }[];
}

/**
 * @param stored newest first
 * @param identity of the run to resume
 * @param steps of that run in total
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
