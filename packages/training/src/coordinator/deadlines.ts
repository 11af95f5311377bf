/** What time does to a run: a silent connection is closed, a late shard is duplicated on an idle worker, then taken away. */
import { settleClaims } from './joining.ts';
import { disconnect, forgetIdleRecords } from './leaving.ts';
import {
  available,
  countFault,
  emit,
  isOwner,
  owedSamples,
  type RunState,
  send,
  updateConnection,
  updateShard,
} from './run-state.ts';
import { assign, isInSlot, onTrial, slotAfterDelay, unassign } from './schedule.ts';
import { referee } from './settlement.ts';
import type { Assignment, Connection, ConnectionId, ShardState } from './state.ts';
import { boundedRate, recordFailure, speedAfter } from './track-record.ts';

/** Called at every tick of the shell's timer. */
export function checkDeadlines(run: RunState, receivedBytes: ReadonlyMap<ConnectionId, number> = new Map()): void {
  for (const [id, bytes] of receivedBytes) noteArrival(run, id, bytes);
  for (const connection of [...run.connections.values()]) {
    const message = expiryOf(run, connection);
    if (message === undefined) heartbeat(run, connection);
    else disconnect(run, connection, message, 1008);
  }
  settleClaims(run);
  forgetIdleRecords(run);
  if (run.phase !== 'training') return;
  let idle: readonly Connection[] | undefined;
  const idleWorkers = (): readonly Connection[] => {
    idle ??= idleOf(run);
    return idle;
  };
  for (const connection of [...run.connections.values()]) {
    if (connection.phase === 'ready' && checkShards(run, connection, idleWorkers)) idle = undefined;
  }
}

/** Available workers that owe nothing of the step: the proven ones, or else newcomers, each for one microbatch. */
function idleOf(run: RunState): Connection[] {
  const idle = available(run).filter((worker) => owedSamples(run.current, worker.connection) === 0);
  const proven = idle.filter(({ isProven }) => isProven);
  if (proven.length > 0) return proven;
  const busy = onTrial(run);
  return idle.filter(({ connection }) => !busy.has(connection));
}

/** The slowest link that is waited for: 256 kbit/s. */
export const leastBytesPerMs = 32;

/** Bytes of an unfinished frame are a sign of life, and put off the deadline of what they answer. */
function noteArrival(run: RunState, id: ConnectionId, bytes: number): void {
  const connection = run.connections.get(id);
  if (!connection || bytes <= connection.receivedBytes) return;
  updateConnection(run, id, {
    receivedBytes: bytes,
    lastReceivedAtMs: run.nowMs,
    transferCreditMs: connection.transferCreditMs + (bytes - connection.receivedBytes) / leastBytesPerMs,
  });
}

/**
 * So many bytes have arrived at a worker, by its own account. While they do, at no less than the slowest link's rate, what it
 * was asked for waits: a link may have become slow since its deadline was set.
 */
export function noteDelivery(
  run: RunState,
  { connection: id, delivered, transferCreditMs }: Connection,
  bytes: number,
): void {
  if (bytes <= delivered.bytes) return;
  const creditMs = Math.min((bytes - delivered.bytes) / leastBytesPerMs, run.nowMs - delivered.atMs);
  updateConnection(run, id, {
    delivered: { bytes, atMs: run.nowMs },
    transferCreditMs: transferCreditMs + creditMs,
  });
}

/** Why a connection has run out of time, or undefined where it has not. */
function expiryOf(run: RunState, connection: Connection): string | undefined {
  const { handshakeMs, numericsCheckMs, deadMs } = run.setup.limits;
  const { workerId = '', phase, claim, phaseAtMs, lastReceivedAtMs, transferCreditMs } = connection;
  const phaseMs = run.nowMs - phaseAtMs;
  if (phase === 'handshake' && !claim && phaseMs > handshakeMs) return `no hello within ${handshakeMs / 1000} s`;
  // A relay without a worker answers the numerics check once it has one.
  const isWaiting = run.records.get(workerId)?.workersBehind === 0;
  if (phase === 'checking' && !isWaiting && phaseMs > numericsCheckMs * run.patience + transferCreditMs) {
    run.patience = morePatience(run);
    return `no answer to the numerics check within ${Math.round(phaseMs / 1000)} s`;
  }
  return run.nowMs - lastReceivedAtMs > deadMs ? `silent for ${deadMs / 1000} s` : undefined;
}

const mostPatience = 64;

/** Where a deadline was missed before any step was taken, the next one is longer: all workers may be behind slow links. */
function morePatience({ patience }: RunState): number {
  return Math.min(mostPatience, 2 * patience);
}

/** Before its welcome a client is asked nothing. */
function heartbeat(run: RunState, { connection, phase, pingedAtMs }: Connection): void {
  if (phase === 'handshake') return;
  if (run.nowMs - pingedAtMs < run.setup.limits.heartbeatMs) return;
  updateConnection(run, connection, { pingedAtMs: run.nowMs });
  send(run, connection, { type: 'ping', sentAtMs: run.nowMs });
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
function checkShards(run: RunState, connection: Connection, idleWorkers: () => readonly Connection[]): boolean {
  const { softDeadlineMs, softFactor, hardDeadlineMs, hardFactor } = run.setup.limits;
  const { connection: id, samplesPerMs, link, transferCreditMs } = connection;
  const owned = run.current.shards.ownedBy(id);
  const starts = owned.flatMap(({ owners }) => owners.filter((owner) => owner.connection === id));
  const trials = connection.trial && connection.trial.step <= run.current.step ? [connection.trial] : [];
  const startedAtMs = Math.min(...[...starts, ...trials].map((since) => since.startedAtMs));
  const owed = owedSamples(run.current, id);
  const ownMs = samplesPerMs > 0 ? owed / samplesPerMs + link.networkMs : Number.POSITIVE_INFINITY;
  // The shard of a trial may be done already, and is then not owed.
  const trialMs = trials.reduce((sum, { samples }) => sum + durationMs(samples, samplesPerMs), 0);
  const knownMs = (Number.isFinite(ownMs) ? ownMs : link.networkMs) + trialMs;
  const answerByMs =
    connection.answerByMs ?? startedAtMs + run.patience * Math.max(hardDeadlineMs, hardFactor * knownMs);
  if (run.nowMs > answerByMs + transferCreditMs) {
    run.patience = morePatience(run);
    recordFailure(run, connection);
    disconnect(run, connection, 'no result within the time that it may take', 1008);
    return true;
  }
  const waitedMs = run.nowMs - startedAtMs;
  if (owned.length === 0 || (connection.answerByMs === undefined && waitedMs <= softDeadlineMs)) return false;

  const idle = idleWorkers();
  if (connection.answerByMs === undefined) {
    // No worker is late because of a speed that newcomers claim.
    const known = idle.filter(({ isProven }) => isProven);
    const idleMs = Math.min(...known.map((worker) => durationMs(owed, worker.samplesPerMs) + worker.link.networkMs));
    const mostMs = isInSlot(connection, run.current.step) ? hardDeadlineMs / softFactor : mostTimesIdle * idleMs;
    const expectedMs = Math.min(ownMs, mostMs);
    if (waitedMs <= Math.max(softDeadlineMs, softFactor * expectedMs)) return false;
    if (idle.length === 0) {
      for (const shard of owned) if (shard.held.length > 0) referee(run, shard);
      return false;
    }
    // What it owes is not done after this time, so its rate is at most that, whatever it claimed.
    const rateAtMost = Math.min(samplesPerMs > 0 ? samplesPerMs : Number.POSITIVE_INFINITY, owed / waitedMs);
    const { overheadMs } = speedAfter(connection, { samples: owed, computeMs: 0, totalMs: waitedMs });
    const slot = slotAfterDelay(run, connection, waitedMs);
    markLate(run, connection, { answerByMs, overheadMs, samplesPerMs: boundedRate(rateAtMost), slot });
  }
  duplicate(run, owned, idle);
  return true;
}

/** A late worker is assigned nothing more until it has answered. */
function markLate(
  run: RunState,
  late: Connection,
  changes: Pick<Connection, 'answerByMs' | 'overheadMs' | 'samplesPerMs' | 'slot'>,
): void {
  updateConnection(run, late.connection, changes);
  emit(run, { type: 'late', workerId: late.workerId ?? '', step: run.current.step });
  // What was sent ahead goes to other workers.
  if (!run.next) return;
  for (const { lo, n } of [...run.next.shards.values()].filter((shard) => isOwner(shard, late.connection))) {
    send(run, late.connection, { type: 'cancel', step: run.next.step, lo, n });
  }
  unassign(run.next, late.connection);
}

/**
 * Assigns shards whose owners are all late to idle workers as well; the first valid result wins. Newcomers get no more than
 * a microbatch, so that a larger shard is taken from its owners, to be divided.
 */
function duplicate(run: RunState, owned: readonly ShardState[], idle: readonly Connection[]): void {
  const isLate = (owner: Assignment): boolean => run.connections.get(owner.connection)?.answerByMs !== undefined;
  const waiting = owned.filter((shard) => shard.owners.every(isLate));
  const taken = new Set<ConnectionId>();
  for (const [index, shard] of waiting.entries()) {
    // Two results of one worker are one vote.
    const others = idle.filter(
      ({ workerId, connection }) => !taken.has(connection) && !shard.held.some((vote) => vote.workerId === workerId),
    );
    const worker = others[index % others.length];
    if (!worker) {
      if (shard.held.length > 0) referee(run, shard);
      continue;
    }
    if (!worker.isProven) taken.add(worker.connection);
    if (worker.isProven || shard.n === 1) assign(run, run.current, shard, worker.connection);
    else updateShard(run.current, shard, { owners: [] });
    countFault(run, 'duplicated');
  }
}

/** Milliseconds that so many samples take; 0 where the rate is not known. */
function durationMs(samples: number, samplesPerMs: number): number {
  return samplesPerMs > 0 ? samples / samplesPerMs : 0;
}
