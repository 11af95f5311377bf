/** What time does to a run: silence is death, and a late shard is given to somebody idle, then taken away. */
import { assign, unassign } from './assign.ts';
import { available, count, type Draft, emit, owedSamples, updateConnection } from './draft.ts';
import { disconnect, forgetStrangers } from './membership.ts';
import { boundedRate } from './rates.ts';
import type { Assignment, Connection, ShardState } from './state.ts';

/** Called at every tick of the shell's timer. */
export function checkDeadlines(draft: Draft): void {
  for (const connection of [...draft.connections.values()]) {
    if (!expire(draft, connection)) heartbeat(draft, connection);
  }
  forgetStrangers(draft);
  if (draft.phase !== 'training') return;
  for (const connection of [...draft.connections.values()]) {
    if (connection.phase === 'ready') checkShardDeadlines(draft, connection);
  }
}

/** Ends a connection that has run out of time; true where it did. */
function expire(draft: Draft, connection: Connection): boolean {
  const { handshakeMs, numericsCheckMs, deadMs } = draft.setup.limits;
  const openMs = draft.nowMs - connection.openedAtMs;
  const message =
    connection.phase === 'handshake' && openMs > handshakeMs
      ? `no hello within ${handshakeMs / 1000} s`
      : connection.phase === 'checking' && openMs > numericsCheckMs
        ? `no answer to the numerics check within ${numericsCheckMs / 1000} s`
        : draft.nowMs - connection.lastMessageAtMs > deadMs
          ? `silent for ${deadMs / 1000} s`
          : undefined;
  if (message === undefined) return false;
  disconnect(draft, connection, message, 1008);
  return true;
}

function heartbeat(draft: Draft, connection: Connection): void {
  if (draft.nowMs - connection.pingedAtMs < draft.setup.limits.heartbeatMs) return;
  updateConnection(draft, connection.connection, { pingedAtMs: draft.nowMs });
  const ping = { type: 'ping', sentAtMs: draft.nowMs } as const;
  draft.effects.push({ type: 'send', connection: connection.connection, message: ping });
}

/** One that is slower than this part of an idle worker's rate is not waited for as long as it needs. */
const leastPartOfIdleRate = 0.1;

/** Compares how long a worker has had its shards of the current step with how long they should take. */
function checkShardDeadlines(draft: Draft, connection: Connection): void {
  const { softDeadlineMs, softFactor, hardDeadlineMs, hardFactor } = draft.setup.limits;
  const owned = [...draft.current.shards.values()].filter((shard) => isOwner(shard, connection));
  const startedAtMs = Math.min(...owned.flatMap((shard) => startsOf(shard, connection)));
  const owed = owedSamples(draft.current, connection.connection);
  const ownRate = connection.samplesPerMs;
  const answerByMs =
    connection.answerByMs ?? startedAtMs + Math.max(hardDeadlineMs, hardFactor * timeOf(owed, ownRate));
  if (draft.nowMs > answerByMs) {
    disconnect(draft, connection, 'no result within the time that it may take', 1008);
    return;
  }
  if (owned.length === 0) return;

  const idle = available(draft).filter(
    (worker) => worker.connection !== connection.connection && owedSamples(draft.current, worker.connection) === 0,
  );
  if (idle.length === 0) return;
  const idleRate = Math.max(...idle.map((worker) => worker.samplesPerMs));
  const predictedMs = timeOf(owed, Math.max(ownRate, leastPartOfIdleRate * idleRate));
  const waitedMs = draft.nowMs - startedAtMs;
  if (waitedMs <= Math.max(softDeadlineMs, softFactor * predictedMs)) return;
  if (connection.answerByMs === undefined) {
    // It has not done in this time what it owes, so it is no faster than that, whatever it said.
    const samplesPerMs = boundedRate(Math.min(ownRate > 0 ? ownRate : Number.POSITIVE_INFINITY, owed / waitedMs));
    setAside(draft, connection, { answerByMs, samplesPerMs });
  }
  duplicate(draft, owned, idle);
}

/** Gives a late worker nothing more until it has answered. */
function setAside(draft: Draft, late: Connection, changes: Pick<Connection, 'answerByMs' | 'samplesPerMs'>): void {
  updateConnection(draft, late.connection, changes);
  emit(draft, { type: 'late', workerId: late.workerId ?? '', step: draft.current.step });
  // What was sent ahead goes to those who keep up; the late worker drops it when newer weights come.
  if (draft.next) unassign(draft.next, late.connection);
}

/** Gives shards that only late workers have to idle ones as well; the first valid result wins. */
function duplicate(draft: Draft, owned: readonly ShardState[], idle: readonly Connection[]): void {
  const isLate = (owner: Assignment): boolean => draft.connections.get(owner.connection)?.answerByMs !== undefined;
  const waiting = owned.filter((shard) => shard.owners.every(isLate));
  for (const [index, shard] of waiting.entries()) {
    assign(draft, draft.current, shard, idle[index % idle.length]!.connection);
    count(draft, 'duplicated');
  }
}

function isOwner(shard: ShardState, connection: Connection): boolean {
  return !shard.done && shard.owners.some((owner) => owner.connection === connection.connection);
}

/** When a connection was given a shard, in a list of one. */
function startsOf(shard: ShardState, connection: Connection): number[] {
  return shard.owners.filter((owner) => owner.connection === connection.connection).map((owner) => owner.startedAtMs);
}

/** Milliseconds that so many samples take; 0 where the rate is not known. */
function timeOf(samples: number, samplesPerMs: number): number {
  return samplesPerMs > 0 ? samples / samplesPerMs : 0;
}
