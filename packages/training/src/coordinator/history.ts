/** What a run knows of the steps before a checkpoint: which workers computed them, and what went wrong. */
import {
  type CheckedShards,
  type CoordinatorState,
  type Faults,
  initialState,
  type RunSetup,
  type WorkerRecord,
} from './state.ts';

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
  return { workers, joined, faults, contributed, checked } satisfies RunHistory;
}

/**
 * A run's state before its first step here. Workers of the time before it come back as new ones, since their keys are
 * not kept.
 */
export function stateAfter(setup: RunSetup, firstStep?: number, history?: RunHistory): CoordinatorState {
  const state = initialState(setup, firstStep);
  if (!history) return state;
  const { workers, joined, faults, contributed, checked = state.checked } = history;
  const records = new Map<string, WorkerRecord>(
    // No `hello` has an empty key.
    workers.map((worker) => [worker.id, { ...worker, resumeKey: '', leftAtMs: Number.NEGATIVE_INFINITY }]),
  );
  return { ...state, records, joined, faults, contributed, checked };
}
