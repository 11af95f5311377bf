/** What a run says of itself: how exact its weights are, why a worker idles, and what a checkpoint keeps. */
import { usedMicrobatches } from '../plan.ts';
import type { RunSetup } from './run-setup.ts';
import { createRunState, type RunState } from './run-state.ts';
import type { CheckedShards, Connection, CoordinatorState, Faults, WorkerRecord } from './state.ts';

/**
 * `bit-exact`: all contributors rounded in one numeric mode, so any run with this seed in this mode gives the same
 * weights. `sample-exact`: every sample still counts exactly once, with weight 1 / batch. `unverified`: results of
 * a worker were added that was later found to send wrong ones.
 */
export type Exactness = 'bit-exact' | 'sample-exact' | 'unverified';

/** Hashes of the weights of two runs may be compared only where both have the same `numericMode`, and it is not null. */
export interface Claim {
  /** Null where no step was taken: initial weights show nothing of who computed. */
  readonly exactness: Exactness | null;
  /**
   * The mode of a bit-exact run: the coordinator's own, such as `f32-mul-add.v1`, or another one with the first digits
   * of its numerics hash, such as `gpu.js webgl2 on SwiftShader, numerics check 0123abcd`. Else null.
   */
  readonly numericMode: string | null;
  /** Backend whose workers alone give these bits; null where any worker in the coordinator's own mode does. */
  readonly bitExactAmong: string | null;
}

export function claimOf(state: CoordinatorState): Claim {
  const exactness = exactnessOf(state);
  const [first] = state.contributed;
  if (exactness !== 'bit-exact' || !first) return { exactness, numericMode: null, bitExactAmong: null };
  const { numericMode, numericsHash, backend } = first;
  if (numericMode === state.setup.refereeMode) return { exactness, numericMode, bitExactAmong: null };
  const checked = `${numericMode}, numerics check ${numericsHash.slice(0, 8)}`;
  return { exactness, numericMode: checked, bitExactAmong: backend };
}

/** The claim in a few words for people. */
export function claimText({ exactness, numericMode, bitExactAmong }: Claim): string {
  if (exactness === null) return 'no step was taken';
  if (bitExactAmong !== null) return `${exactness} among ${bitExactAmong}`;
  return numericMode === null ? exactness : `${exactness} (${numericMode})`;
}

export function exactnessOf({ contributed, current, records }: CoordinatorState): Exactness | null {
  const [first] = contributed;
  if (current.step === 0 || !first) return null;
  const hadLiar = [...records.values()].some(
    ({ quarantined, unverified, shards }) => shards > 0 && (quarantined !== undefined || unverified === true),
  );
  if (hadLiar) return 'unverified';
  const isOneMode = contributed.every(
    ({ numericMode, numericsHash }) => numericMode === first.numericMode && numericsHash === first.numericsHash,
  );
  return isOneMode ? 'bit-exact' : 'sample-exact';
}

/**
 * `joining`: it has not passed the numerics check. `waiting`: the run has not begun. `paused`: a person paused it. `trial`:
 * it has yet to show that its results are right. `outnumbered`: a step has fewer microbatches than workers. `slow`: steps are done sooner
 * without it. `rotation`: either of these, in a run in which all take part.
 */
export type IdleReason = 'joining' | 'waiting' | 'paused' | 'trial' | 'outnumbered' | 'slow' | 'rotation';

/** Undefined where it has a share of the current step or of the next, or is late with one. */
export function idleReasonOf(state: CoordinatorState, connection: Connection): IdleReason | undefined {
  const { phase, pauseRequested, connections, current, setup } = state;
  if (connection.phase !== 'ready') return 'joining';
  if (phase === 'waiting') return 'waiting';
  if (phase === 'paused' && pauseRequested) return 'paused';
  if (connection.answerByMs !== undefined || hasShare(state, connection)) return undefined;
  if (!connection.isProven) return 'trial';
  if (setup.participation === 'rotation') return 'rotation';
  const ready = [...connections.values()].filter((other) => other.phase === 'ready').length;
  const isOver = current.step >= setup.plan.steps;
  return !isOver && usedMicrobatches(setup.plan, current.step) < ready ? 'outnumbered' : 'slow';
}

function hasShare({ current, next }: CoordinatorState, { connection, workerId, newestResult }: Connection): boolean {
  if (newestResult === current.step) return true;
  const shards = [...current.shards.values(), ...(next?.shards.values() ?? [])];
  return shards.some(
    ({ owners, addedFrom }) =>
      owners.some((owner) => owner.connection === connection) || (workerId !== undefined && addedFrom === workerId),
  );
}

/** Plain data without secrets: no resume key, no address. */
export interface RunHistory {
  /** Workers that have computed a shard, or were there at the time. */
  readonly workers: readonly Omit<WorkerRecord, 'resumeKey' | 'leftAtMs'>[];
  /** Workers that have ever joined. */
  readonly joined: number;
  readonly faults: Faults;
  readonly contributed: CoordinatorState['contributed'];
  /** Omitted in checkpoints of earlier releases. */
  readonly checked?: CheckedShards;
}

/** @param nowMs for the time of workers that are still connected */
export function historyOf(state: CoordinatorState, nowMs: number) {
  const { records, connections, joined, faults, contributed, checked } = state;
  const readyAtMs = new Map<string | undefined, number>();
  for (const { workerId, phase, readyAtMs: atMs } of connections.values()) {
    if (phase === 'ready') readyAtMs.set(workerId, atMs);
  }
  const workers = [...records.values()].map(({ resumeKey: _key, leftAtMs: _left, ...record }) => ({
    ...record,
    readyMs: record.readyMs + (nowMs - (readyAtMs.get(record.id) ?? nowMs)),
  }));
  return { workers, joined, faults: { ...faults }, contributed, checked } satisfies RunHistory;
}

/** A run before its first step here. Workers of the time before it come back as new ones, since their keys are not kept. */
export function runAfter(setup: RunSetup, firstStep?: number, history?: RunHistory): RunState {
  if (!history) return createRunState(setup, firstStep);
  const { workers, joined, faults, contributed, checked = { shards: 0, of: 0 } } = history;
  const records = new Map<string, WorkerRecord>(
    // No `hello` has an empty key.
    workers.map((worker) => [worker.id, { ...worker, resumeKey: '', leftAtMs: Number.NEGATIVE_INFINITY }]),
  );
  return createRunState(setup, firstStep, { records, joined, faults, contributed, checked });
}
