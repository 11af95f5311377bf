/** How a connection ends, and what becomes of the shards and of the record that it leaves behind. */
import { countFault, type Draft, emit, updateRecord } from './draft.ts';
import { recordFailure } from './reputation.ts';
import { unassign } from './schedule.ts';
import type { Connection, WorkerRecord } from './state.ts';

/** Ends a connection and takes its shards away. `closeCode` is undefined where the socket is gone already. */
export function disconnect(draft: Draft, connection: Connection, message: string, closeCode: number | undefined): void {
  draft.connections.delete(connection.connection);
  if (closeCode !== undefined) {
    draft.effects.push({ type: 'close', connection: connection.connection, code: closeCode, reason: message });
  }
  const record = draft.records.get(connection.workerId ?? '');
  if (!record) return;
  updateRecord(draft, record.id, { leftAtMs: draft.nowMs });
  if (connection.phase === 'ready') addReadyTime(draft, connection);
  if (!connection.hasBeenReady) return;
  if (draft.phase !== 'training' && draft.phase !== 'paused') return;
  countFault(draft, 'disconnects');
  unassignAll(draft, connection);
  emit(draft, { type: 'left', workerId: record.id, message });
}

/** Ends a connection that sent something invalid; the run goes on without it. */
export function reject(draft: Draft, connection: Connection, message: string, closeCode: number): void {
  countFault(draft, 'rejected');
  recordFailure(draft, connection);
  emit(draft, { type: 'rejected', workerId: connection.workerId, message });
  disconnect(draft, connection, message, closeCode);
}

/** Ends a connection whose message is not allowed in its phase. */
export function protocolViolation(draft: Draft, connection: Connection, what: string): void {
  reject(draft, connection, `protocol: ${what}`, 1002);
}

/** Takes every shard from a connection, and counts those that another worker must compute. */
export function unassignAll(draft: Draft, { connection }: Connection): void {
  let unowned = unassign(draft.current, connection);
  if (draft.next) unowned += unassign(draft.next, connection);
  countFault(draft, 'reassigned', unowned);
}

/** Adds the time since the worker became ready to its record; called when it stops being ready. */
export function addReadyTime(draft: Draft, { workerId, readyAtMs }: Connection): void {
  const record = draft.records.get(workerId ?? '');
  if (record) updateRecord(draft, record.id, { readyMs: record.readyMs + draft.nowMs - readyAtMs });
}

/** Whether a worker that left may still come back under its old identity. */
export function mayReturn(draft: Draft, { leftAtMs }: WorkerRecord): boolean {
  return leftAtMs === undefined || draft.nowMs - leftAtMs <= draft.setup.limits.resumeMs;
}

/** A run that lasts may know very many workers. */
const lookEveryMs = 1_000;

/**
 * Forgets workers that have left and computed nothing: soon where they never passed the numerics check, else when they
 * can no longer come back. Clients that only connect and leave must not fill the memory.
 */
export function forgetIdleRecords(draft: Draft): void {
  if (draft.nowMs - draft.lookedAtMs < lookEveryMs) return;
  draft.lookedAtMs = draft.nowMs;
  for (const record of [...draft.records.values()]) {
    if (record.leftAtMs === undefined || record.shards > 0) continue;
    if (record.numericsHash === undefined || !mayReturn(draft, record)) draft.records.delete(record.id);
  }
}
