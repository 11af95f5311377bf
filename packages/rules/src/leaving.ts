/** The end of a connection, with its shards and record, and the end of a run. */

import type { MessageOf } from '@lockstep/protocol';
import { unassign } from './assignments.ts';
import type { CoordinatorEvent } from './events.ts';
import { countFault, emit, hasEnded, type RunState, send, updateRecord } from './run-state.ts';
import type { Connection, ConnectionId, WorkerRecord } from './state.ts';
import { recordFailure } from './track-record.ts';

/** Ends a connection and takes its shards away. `closeCode` is undefined if the socket is closed already. */
export function disconnect(
  run: RunState,
  connection: Connection,
  message: string,
  closeCode: number | undefined,
): void {
  run.connections.delete(connection.connection);
  if (closeCode !== undefined) {
    run.commands.push({ type: 'close', connection: connection.connection, code: closeCode, reason: message });
  }
  const record = run.records.get(connection.workerId ?? '');
  if (!record) return;
  updateRecord(run, record.id, { leftAtMs: run.nowMs });
  if (connection.phase === 'ready') addReadyTime(run, connection);
  if (!connection.hasBeenReady) return;
  if (run.phase !== 'training' && run.phase !== 'paused') return;
  countFault(run, 'disconnects');
  unassignAll(run, connection);
  emit(run, { type: 'left', workerId: record.id, message });
}

/** Ends a connection that sent something invalid; the run goes on without it. */
export function reject(run: RunState, connection: Connection, message: string, closeCode: number): void {
  countFault(run, 'rejected');
  recordFailure(run, connection);
  emit(run, { type: 'rejected', workerId: connection.workerId, message });
  disconnect(run, connection, message, closeCode);
}

/** Ends a connection whose message is not allowed in its phase. */
export function protocolViolation(run: RunState, connection: Connection, what: string): void {
  reject(run, connection, `protocol: ${what}`, 1002);
}

/** Takes every shard from a connection, and counts those that another worker must compute. */
export function unassignAll(run: RunState, { connection }: Connection): void {
  let unowned = unassign(run.current, connection);
  if (run.next) unowned += unassign(run.next, connection);
  countFault(run, 'reassigned', unowned);
}

/** Adds the time since a worker became ready to its record, when it stops being ready. */
export function addReadyTime(run: RunState, { workerId, readyAtMs }: Connection): void {
  const record = run.records.get(workerId ?? '');
  if (record) updateRecord(run, record.id, { readyMs: record.readyMs + run.nowMs - readyAtMs });
}

/** Returns whether a worker that has left may still return under its old identity. */
export function mayReturn(run: RunState, { leftAtMs }: WorkerRecord): boolean {
  return leftAtMs === undefined || run.nowMs - leftAtMs <= run.setup.limits.resumeMs;
}

/** Interval between searches of the records: a long run may have too many to search at every tick. */
const lookEveryMs = 1_000;

/**
 * Forgets workers that left without computing anything: soon if they never passed the numerics check, otherwise when
 * they can no longer return. Clients that only connect and leave must not fill the memory.
 */
export function forgetIdleRecords(run: RunState): void {
  if (run.nowMs - run.lookedAtMs < lookEveryMs) return;
  run.lookedAtMs = run.nowMs;
  for (const record of [...run.records.values()]) {
    if (record.leftAtMs === undefined || record.shards > 0) continue;
    if (record.numericsHash === undefined || !mayReturn(run, record)) run.records.delete(record.id);
  }
}

/** Ends a run after its last step. */
export function finishRun(run: RunState): void {
  run.phase = 'finished';
  run.endedAtMs = run.nowMs;
  closeAll(run, 'the run is finished');
  run.commands.push({ type: 'finished' });
}

/** Stops a run before its last step. @param anotherMayFollow by default the setup's */
export function endRun(run: RunState, message: string, anotherMayFollow?: boolean): void {
  if (hasEnded(run)) return;
  run.phase = 'failed';
  run.endedAtMs = run.nowMs;
  closeAll(run, message, anotherMayFollow);
  run.commands.push({ type: 'failed', message });
}

/** Answers a connection that was opened after the end of the run. */
export function closeLateArrival(run: RunState, connection: ConnectionId): void {
  const message = 'the run has ended';
  send(run, connection, finishOf(run, message));
  run.commands.push({ type: 'close', connection, code: 1000, reason: message });
}

function finishOf(
  { setup }: RunState,
  message: string,
  anotherMayFollow = setup.anotherMayFollow,
): MessageOf<'finish'> {
  return { type: 'finish', message, ...(anotherMayFollow === true && { anotherMayFollow }) };
}

function closeAll(run: RunState, message: string, anotherMayFollow?: boolean): void {
  for (const connection of [...run.connections.values()]) {
    send(run, connection.connection, finishOf(run, message, anotherMayFollow));
    disconnect(run, connection, message, 1000);
  }
}

type EventOf<Type> = Extract<CoordinatorEvent, { type: Type }>;

function connectionsOf(run: RunState, workerId: string): Connection[] {
  return [...run.connections.values()].filter((connection) => connection.workerId === workerId);
}

/** Renames a worker; the name stays if the worker returns under its identity. */
export function rename(run: RunState, { workerId, name }: EventOf<'rename'>): void {
  const record = run.records.get(workerId);
  if (!record || record.name === name) return;
  emit(run, { type: 'renamed', workerId, before: record.name });
  updateRecord(run, workerId, { name, renamed: true });
}

/** Removes a worker by a refusal, so that it does not reconnect by itself. */
export function remove(run: RunState, { workerId }: EventOf<'remove'>): void {
  if (hasEnded(run)) return;
  for (const connection of connectionsOf(run, workerId)) {
    const message = 'the owner of this run has removed this worker';
    send(run, connection.connection, { type: 'refuse', code: 'removed', message });
    const isAnnounced = connection.hasBeenReady && run.phase !== 'waiting';
    disconnect(run, connection, message, 1008);
    // `disconnect` does not announce that a worker has left if it has not taken part yet.
    if (!isAnnounced) emit(run, { type: 'left', workerId, message });
  }
}

/** Tells a worker to fail on purpose, if the run was set up for fault injection. */
export function injectFault(run: RunState, event: EventOf<'injectFault'>): void {
  if (run.setup.faultInjection !== true || hasEnded(run)) return;
  const { workerId, action, forMs } = event;
  for (const { connection } of connectionsOf(run, workerId)) {
    send(run, connection, { type: 'injectFault', action, forMs });
    emit(run, { type: 'injectFault', workerId, action });
  }
}
