/** What time does to a run: a silent connection is closed, a late shard is duplicated on an idle worker, then taken away. */
import { disconnect, forgetIdleRecords } from './disconnect.ts';
import { available, countFault, type Draft, emit, isOwner, owedSamples, send, updateConnection } from './draft.ts';
import { boundedRate } from './rates.ts';
import { assign, unassign } from './schedule.ts';
import type { Assignment, Connection, ShardState } from './state.ts';

/** Called at every tick of the shell's timer. */
export function checkDeadlines(draft: Draft): void {
  for (const connection of [...draft.connections.values()]) {
    const message = expiryOf(draft, connection);
    if (message === undefined) heartbeat(draft, connection);
    else disconnect(draft, connection, message, 1008);
  }
  forgetIdleRecords(draft);
  if (draft.phase !== 'training') return;
  for (const connection of [...draft.connections.values()]) {
    if (connection.phase === 'ready') checkShards(draft, connection);
  }
}

/** Why a connection has run out of time, or undefined where it has not. */
function expiryOf(draft: Draft, { phase, openedAtMs, lastMessageAtMs }: Connection): string | undefined {
  const { handshakeMs, numericsCheckMs, deadMs } = draft.setup.limits;
  const openMs = draft.nowMs - openedAtMs;
  if (phase === 'handshake' && openMs > handshakeMs) return `no hello within ${handshakeMs / 1000} s`;
  if (phase === 'checking' && openMs > numericsCheckMs) {
    return `no answer to the numerics check within ${numericsCheckMs / 1000} s`;
  }
  return draft.nowMs - lastMessageAtMs > deadMs ? `silent for ${deadMs / 1000} s` : undefined;
}

function heartbeat(draft: Draft, { connection, pingedAtMs }: Connection): void {
  if (draft.nowMs - pingedAtMs < draft.setup.limits.heartbeatMs) return;
  updateConnection(draft, connection, { pingedAtMs: draft.nowMs });
  send(draft, connection, { type: 'ping', sentAtMs: draft.nowMs });
}

/** A worker slower than this fraction of an idle worker's rate is late before the time that it needs has passed. */
const leastFractionOfIdleRate = 0.1;

/** Compares how long a worker has had its shards of the current step with how long they should take. */
function checkShards(draft: Draft, connection: Connection): void {
  const { softDeadlineMs, softFactor, hardDeadlineMs, hardFactor } = draft.setup.limits;
  const { connection: id, samplesPerMs } = connection;
  const owned = [...draft.current.shards.values()].filter((shard) => isOwner(shard, id));
  const starts = owned.flatMap(({ owners }) => owners.filter((owner) => owner.connection === id));
  const startedAtMs = Math.min(...starts.map((owner) => owner.startedAtMs));
  const owed = owedSamples(draft.current, id);
  const answerByMs =
    connection.answerByMs ?? startedAtMs + Math.max(hardDeadlineMs, hardFactor * durationMs(owed, samplesPerMs));
  if (draft.nowMs > answerByMs) {
    disconnect(draft, connection, 'no result within the time that it may take', 1008);
    return;
  }
  if (owned.length === 0) return;

  const idle = available(draft).filter(
    (worker) => worker.connection !== id && owedSamples(draft.current, worker.connection) === 0,
  );
  if (idle.length === 0) return;
  const idleRate = Math.max(...idle.map((worker) => worker.samplesPerMs));
  const expectedMs = durationMs(owed, Math.max(samplesPerMs, leastFractionOfIdleRate * idleRate));
  const waitedMs = draft.nowMs - startedAtMs;
  if (waitedMs <= Math.max(softDeadlineMs, softFactor * expectedMs)) return;
  if (connection.answerByMs === undefined) {
    // What it owes is not done after this time, so its rate is at most that, whatever it claimed.
    const rateAtMost = Math.min(samplesPerMs > 0 ? samplesPerMs : Number.POSITIVE_INFINITY, owed / waitedMs);
    markLate(draft, connection, answerByMs, boundedRate(rateAtMost));
  }
  duplicate(draft, owned, idle);
}

/** A late worker is assigned nothing more until it has answered. */
function markLate(draft: Draft, late: Connection, answerByMs: number, samplesPerMs: number): void {
  updateConnection(draft, late.connection, { answerByMs, samplesPerMs });
  emit(draft, { type: 'late', workerId: late.workerId ?? '', step: draft.current.step });
  // What was sent ahead goes to other workers; the late one drops it when newer weights come.
  if (draft.next) unassign(draft.next, late.connection);
}

/** Assigns shards whose owners are all late to idle workers as well; the first valid result wins. */
function duplicate(draft: Draft, owned: readonly ShardState[], idle: readonly Connection[]): void {
  const isLate = (owner: Assignment): boolean => draft.connections.get(owner.connection)?.answerByMs !== undefined;
  const waiting = owned.filter((shard) => shard.owners.every(isLate));
  for (const [index, shard] of waiting.entries()) {
    assign(draft, draft.current, shard, idle[index % idle.length]!.connection);
    countFault(draft, 'duplicated');
  }
}

/** Milliseconds that so many samples take; 0 where the rate is not known. */
function durationMs(samples: number, samplesPerMs: number): number {
  return samplesPerMs > 0 ? samples / samplesPerMs : 0;
}
