/** Reports on a run: the exactness of its weights, the reasons why workers idle, and the history for checkpoints. */
import { usedMicrobatches } from './plan.ts';
import { createRunState, type RunState } from './run-state.ts';
import type { RunSetup } from './setup.ts';
import type { CheckedShards, Connection, CoordinatorState, Faults, WorkerRecord } from './state.ts';

/**
 * `bit-exact`: all contributors rounded in one numeric mode, so any run with this seed in this mode gives the same
 * weights. `sample-exact`: every sample still counts exactly once, with weight 1 / batch. `unverified`: the weights
 * contain results of a worker that was later found to send wrong ones, and no state from before them was kept.
 */
export type Exactness = 'bit-exact' | 'sample-exact' | 'unverified';

/** Hashes of two runs' weights are comparable only if both runs have the same `numericMode`, other than null. */
export interface Claim {
  /** Null if no step was taken, because initial weights do not depend on who computes. */
  readonly exactness: Exactness | null;
  /**
   * The mode of a bit-exact run, otherwise null: the coordinator's own, such as `f32-mul-add.v1`, or another one with
   * the first digits of its numerics hash, such as `gpu.js webgl2 on SwiftShader, numerics check 0123abcd`.
   */
  readonly numericMode: string | null;
  /** The only backend that gives these bits; null if every worker in the coordinator's own mode does. */
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

/** Returns the claim as a short text for people. */
export function claimText({ exactness, numericMode, bitExactAmong }: Claim): string {
  if (exactness === null) return 'no step was taken';
  if (bitExactAmong !== null) return `${exactness} among ${bitExactAmong}`;
  return numericMode === null ? exactness : `${exactness} (${numericMode})`;
}

export function exactnessOf({ contributed, current, isTainted }: CoordinatorState): Exactness | null {
  const [first] = contributed;
  if (current.step === 0 || !first) return null;
  if (isTainted) return 'unverified';
  const isOneMode = contributed.every(
    ({ numericMode, numericsHash }) => numericMode === first.numericMode && numericsHash === first.numericsHash,
  );
  return isOneMode ? 'bit-exact' : 'sample-exact';
}

/**
 * `joining`: the worker has not passed the numerics check. `waiting`: the run has not started. `paused`: a person has
 * paused the run. `trial`: the worker is not proven yet. `outnumbered`: a step has fewer microbatches than workers.
 * `slow`: steps are faster without the worker. `rotation`: one of the last two, in a run in which all workers take
 * turns.
 */
type IdleReason = 'joining' | 'waiting' | 'paused' | 'trial' | 'outnumbered' | 'slow' | 'rotation';

/** Returns why a worker idles; undefined if it has a share of the current or next step, or is late with one. */
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
    ({ assignments, addedFrom }) =>
      assignments.some((assignment) => assignment.connection === connection) ||
      (workerId !== undefined && addedFrom === workerId),
  );
}

/** History of a run as plain data without secrets: no resume keys, no addresses but their short hashes. */
export interface RunHistory {
  /** Workers that have computed a shard, or were connected when the history was taken. */
  readonly workers: readonly Omit<WorkerRecord, 'resumeKey' | 'leftAtMs'>[];
  /** Number of workers that have ever joined. */
  readonly joined: number;
  readonly faults: Faults;
  readonly contributed: CoordinatorState['contributed'];
  /** Omitted in checkpoints of earlier releases. */
  readonly checked?: CheckedShards;
  readonly isTainted?: boolean;
  readonly originSalt?: number;
}

/** @param nowMs end of the ready time of workers that are still connected */
export function historyOf(state: CoordinatorState, nowMs: number) {
  const { records, connections, joined, faults, contributed, checked, isTainted, originSalt } = state;
  const readyAtMs = new Map<string | undefined, number>();
  for (const { workerId, phase, readyAtMs: atMs } of connections.values()) {
    if (phase === 'ready') readyAtMs.set(workerId, atMs);
  }
  const workers = [...records.values()].map(({ resumeKey: _key, leftAtMs: _left, ...record }) => ({
    ...record,
    readyMs: record.readyMs + (nowMs - (readyAtMs.get(record.id) ?? nowMs)),
  }));
  const known = { joined, faults: { ...faults }, contributed, checked, isTainted, originSalt };
  return { workers, ...known } satisfies RunHistory;
}

/** Returns a run before its first step here. Workers of its history return as new ones: their keys are not kept. */
export function runAfter(setup: RunSetup, firstStep?: number, history?: RunHistory): RunState {
  if (!history) return createRunState(setup, firstStep);
  const { workers, joined, faults, contributed, checked = { shards: 0, of: 0 }, originSalt } = history;
  // Runs of earlier releases did not go back.
  const hadLiar = workers.some(({ quarantined, shards }) => quarantined !== undefined && shards > 0);
  const { isTainted = hadLiar } = history;
  const records = new Map<string, WorkerRecord>(
    // No `hello` has an empty resume key, so nobody can claim these records.
    workers.map((worker) => [worker.id, { ...worker, resumeKey: '', leftAtMs: Number.NEGATIVE_INFINITY }]),
  );
  const known = { records, joined, faults, contributed, checked, isTainted };
  return createRunState(setup, firstStep, { ...known, ...(originSalt !== undefined && { originSalt }) });
}
