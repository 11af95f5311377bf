/** What time does to a run: a silent connection is closed, a late shard is duplicated on an idle worker, then taken away. */
import { disconnect, forgetIdleRecords } from './disconnect.ts';
import {
  available,
  countFault,
  type Draft,
  emit,
  isOwner,
  owedSamples,
  send,
  updateConnection,
  updateShard,
} from './draft.ts';
import { settleClaims } from './identity-claims.ts';
import { recordFailure } from './reputation.ts';
import { isInSlot, slotAfterDelay } from './rotation.ts';
import { assign, unassign } from './schedule.ts';
import { boundedRate, speedAfter } from './speed.ts';
import type { Assignment, Connection, ConnectionId, ShardState } from './state.ts';
import { onTrial } from './trials.ts';
import { referee } from './verification.ts';

/** Called at every tick of the shell's timer. */
export function checkDeadlines(draft: Draft, receivedBytes: ReadonlyMap<ConnectionId, number> = new Map()): void {
  for (const [id, bytes] of receivedBytes) noteArrival(draft, id, bytes);
  for (const connection of [...draft.connections.values()]) {
    const message = expiryOf(draft, connection);
    if (message === undefined) heartbeat(draft, connection);
    else disconnect(draft, connection, message, 1008);
  }
  settleClaims(draft);
  forgetIdleRecords(draft);
  if (draft.phase !== 'training') return;
  let idle: readonly Connection[] | undefined;
  const idleWorkers = (): readonly Connection[] => {
    idle ??= idleOf(draft);
    return idle;
  };
  for (const connection of [...draft.connections.values()]) {
    if (connection.phase === 'ready' && checkShards(draft, connection, idleWorkers)) idle = undefined;
  }
}

/** Available workers that owe nothing of the step: the proven ones, or else newcomers, each for one microbatch. */
function idleOf(draft: Draft): Connection[] {
  const idle = available(draft).filter((worker) => owedSamples(draft.current, worker.connection) === 0);
  const proven = idle.filter(({ isProven }) => isProven);
  if (proven.length > 0) return proven;
  const busy = onTrial(draft);
  return idle.filter(({ connection }) => !busy.has(connection));
}

/** The slowest link that is waited for: 256 kbit/s. */
export const leastBytesPerMs = 32;

/** Bytes of an unfinished frame are a sign of life, and put off the deadline of what they answer. */
function noteArrival(draft: Draft, id: ConnectionId, bytes: number): void {
  const connection = draft.connections.get(id);
  if (!connection || bytes <= connection.receivedBytes) return;
  updateConnection(draft, id, {
    receivedBytes: bytes,
    lastReceivedAtMs: draft.nowMs,
    transferCreditMs: connection.transferCreditMs + (bytes - connection.receivedBytes) / leastBytesPerMs,
  });
}

/**
 * So many bytes have arrived at a worker, by its own account. While they do, at no less than the slowest link's rate, what it
 * was asked for waits: a link may have become slow since its deadline was set.
 */
export function noteDelivery(
  draft: Draft,
  { connection: id, delivered, transferCreditMs }: Connection,
  bytes: number,
): void {
  if (bytes <= delivered.bytes) return;
  const creditMs = Math.min((bytes - delivered.bytes) / leastBytesPerMs, draft.nowMs - delivered.atMs);
  updateConnection(draft, id, {
    delivered: { bytes, atMs: draft.nowMs },
    transferCreditMs: transferCreditMs + creditMs,
  });
}

/** Why a connection has run out of time, or undefined where it has not. */
function expiryOf(draft: Draft, connection: Connection): string | undefined {
  const { handshakeMs, numericsCheckMs, deadMs } = draft.setup.limits;
  const { workerId = '', phase, claim, phaseAtMs, lastReceivedAtMs, transferCreditMs } = connection;
  const phaseMs = draft.nowMs - phaseAtMs;
  if (phase === 'handshake' && !claim && phaseMs > handshakeMs) return `no hello within ${handshakeMs / 1000} s`;
  // A relay without a worker answers the numerics check once it has one.
  const isWaiting = draft.records.get(workerId)?.workersBehind === 0;
  if (phase === 'checking' && !isWaiting && phaseMs > numericsCheckMs * draft.patience + transferCreditMs) {
    draft.patience = morePatience(draft);
    return `no answer to the numerics check within ${Math.round(phaseMs / 1000)} s`;
  }
  return draft.nowMs - lastReceivedAtMs > deadMs ? `silent for ${deadMs / 1000} s` : undefined;
}

const mostPatience = 64;

/** Where a deadline was missed before any step was taken, the next one is longer: all workers may be behind slow links. */
function morePatience({ patience }: Draft): number {
  return Math.min(mostPatience, 2 * patience);
}

/** Before its welcome a client is asked nothing. */
function heartbeat(draft: Draft, { connection, phase, pingedAtMs }: Connection): void {
  if (phase === 'handshake') return;
  if (draft.nowMs - pingedAtMs < draft.setup.limits.heartbeatMs) return;
  updateConnection(draft, connection, { pingedAtMs: draft.nowMs });
  send(draft, connection, { type: 'ping', sentAtMs: draft.nowMs });
}

/**
 * A worker that needs more than so many times as long as an idle one is late before the time that it needs has passed;
 * in its slot it has that time, up to the hard deadline.
 */
const mostTimesIdle = 10;

/**
 * Compares how long a worker has had its shards of the current step with how long they should take; true where it or
 * its shards are treated as late.
 *
 * @param idleWorkers as `idleOf`; this worker is none of them where it owes a shard
 */
function checkShards(draft: Draft, connection: Connection, idleWorkers: () => readonly Connection[]): boolean {
  const { softDeadlineMs, softFactor, hardDeadlineMs, hardFactor } = draft.setup.limits;
  const { connection: id, samplesPerMs, link, transferCreditMs } = connection;
  const owned = draft.current.shards.ownedBy(id);
  const starts = owned.flatMap(({ owners }) => owners.filter((owner) => owner.connection === id));
  const trials = connection.trial && connection.trial.step <= draft.current.step ? [connection.trial] : [];
  const startedAtMs = Math.min(...[...starts, ...trials].map((since) => since.startedAtMs));
  const owed = owedSamples(draft.current, id);
  const ownMs = samplesPerMs > 0 ? owed / samplesPerMs + link.networkMs : Number.POSITIVE_INFINITY;
  // The shard of a trial may be done already, and is then not owed.
  const trialMs = trials.reduce((sum, { samples }) => sum + durationMs(samples, samplesPerMs), 0);
  const knownMs = (Number.isFinite(ownMs) ? ownMs : link.networkMs) + trialMs;
  const answerByMs =
    connection.answerByMs ?? startedAtMs + draft.patience * Math.max(hardDeadlineMs, hardFactor * knownMs);
  if (draft.nowMs > answerByMs + transferCreditMs) {
    draft.patience = morePatience(draft);
    recordFailure(draft, connection);
    disconnect(draft, connection, 'no result within the time that it may take', 1008);
    return true;
  }
  const waitedMs = draft.nowMs - startedAtMs;
  if (owned.length === 0 || (connection.answerByMs === undefined && waitedMs <= softDeadlineMs)) return false;

  const idle = idleWorkers();
  if (connection.answerByMs === undefined) {
    // No worker is late because of a speed that newcomers claim.
    const known = idle.filter(({ isProven }) => isProven);
    const idleMs = Math.min(...known.map((worker) => durationMs(owed, worker.samplesPerMs) + worker.link.networkMs));
    const mostMs = isInSlot(connection, draft.current.step) ? hardDeadlineMs / softFactor : mostTimesIdle * idleMs;
    const expectedMs = Math.min(ownMs, mostMs);
    if (waitedMs <= Math.max(softDeadlineMs, softFactor * expectedMs)) return false;
    if (idle.length === 0) {
      for (const shard of owned) if (shard.votes.length > 0) referee(draft, shard);
      return false;
    }
    // What it owes is not done after this time, so its rate is at most that, whatever it claimed.
    const rateAtMost = Math.min(samplesPerMs > 0 ? samplesPerMs : Number.POSITIVE_INFINITY, owed / waitedMs);
    const { overheadMs } = speedAfter(connection, { samples: owed, computeMs: 0, totalMs: waitedMs });
    const slot = slotAfterDelay(draft, connection, waitedMs);
    markLate(draft, connection, { answerByMs, overheadMs, samplesPerMs: boundedRate(rateAtMost), slot });
  }
  duplicate(draft, owned, idle);
  return true;
}

/** A late worker is assigned nothing more until it has answered. */
function markLate(
  draft: Draft,
  late: Connection,
  changes: Pick<Connection, 'answerByMs' | 'overheadMs' | 'samplesPerMs' | 'slot'>,
): void {
  updateConnection(draft, late.connection, changes);
  emit(draft, { type: 'late', workerId: late.workerId ?? '', step: draft.current.step });
  // What was sent ahead goes to other workers.
  if (!draft.next) return;
  for (const { lo, n } of [...draft.next.shards.values()].filter((shard) => isOwner(shard, late.connection))) {
    send(draft, late.connection, { type: 'cancel', step: draft.next.step, lo, n });
  }
  unassign(draft.next, late.connection);
}

/**
 * Assigns shards whose owners are all late to idle workers as well; the first valid result wins. Newcomers get no more than
 * a microbatch, so that a larger shard is taken from its owners, to be divided.
 */
function duplicate(draft: Draft, owned: readonly ShardState[], idle: readonly Connection[]): void {
  const isLate = (owner: Assignment): boolean => draft.connections.get(owner.connection)?.answerByMs !== undefined;
  const waiting = owned.filter((shard) => shard.owners.every(isLate));
  const taken = new Set<ConnectionId>();
  for (const [index, shard] of waiting.entries()) {
    // Two results of one worker are one vote.
    const others = idle.filter(
      ({ workerId, connection }) => !taken.has(connection) && !shard.votes.some((vote) => vote.workerId === workerId),
    );
    const worker = others[index % others.length];
    if (!worker) {
      if (shard.votes.length > 0) referee(draft, shard);
      continue;
    }
    if (!worker.isProven) taken.add(worker.connection);
    if (worker.isProven || shard.n === 1) assign(draft, draft.current, shard, worker.connection);
    else updateShard(draft.current, shard, { owners: [] });
    countFault(draft, 'duplicated');
  }
}

/** Milliseconds that so many samples take; 0 where the rate is not known. */
function durationMs(samples: number, samplesPerMs: number): number {
  return samplesPerMs > 0 ? samples / samplesPerMs : 0;
}
