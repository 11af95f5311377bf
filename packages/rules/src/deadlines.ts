/** Deadlines: a silent connection is closed; a late shard goes to an idle worker as well, then is taken away. */

import { assign, onTrial, openTrial, referee, unassign } from './assignments.ts';
import { disconnect, forgetIdleRecords, settleClaims } from './joining.ts';
import {
  available,
  countFault,
  emit,
  owedSamples,
  owesShard,
  type RunState,
  send,
  updateConnection,
  updateShard,
} from './run-state.ts';
import { turnAfterDelay } from './schedule.ts';
import type { Assignment, Connection, ConnectionId, ShardState } from './state.ts';
import { boundedRate, recordFailure, speedAfter } from './track-record.ts';

/** Checks every deadline, at every tick of the run's timer. */
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

/** Returns the available workers that owe nothing in the step: proven ones, or else newcomers that are not on trial. */
function idleOf(run: RunState): Connection[] {
  const idle = available(run).filter((worker) => owedSamples(run.current, worker.connection) === 0);
  const proven = idle.filter(({ isProven }) => isProven);
  if (proven.length > 0) return proven;
  const busy = onTrial(run);
  return idle.filter(({ connection }) => !busy.has(connection));
}

/** Slowest link that the run waits for: 256 kbit/s. */
export const leastBytesPerMs = 32;

/** Counts bytes of an unfinished frame as a sign of life, and extends the deadline of the answer. */
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
 * Notes how many bytes a worker says it has received. The deadline waits while bytes arrive at the slowest link's rate
 * or faster, because the link may have slowed down since the deadline was set.
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

/** Returns why a connection has timed out; undefined if it has not. */
function expiryOf(run: RunState, connection: Connection): string | undefined {
  const { handshakeMs, numericsCheckMs, deadMs } = run.setup.limits;
  const { workerId = '', phase, claim, phaseAtMs, lastReceivedAtMs, transferCreditMs, recalled } = connection;
  const phaseMs = run.nowMs - phaseAtMs;
  if (phase === 'handshake' && !claim && phaseMs > handshakeMs) return `no hello within ${handshakeMs / 1000} s`;
  // A relay without a worker answers the numerics check once it has one.
  const isWaiting = run.records.get(workerId)?.workersBehind === 0;
  if (phase === 'checking' && !isWaiting && phaseMs > numericsCheckMs * run.patience + transferCreditMs) {
    run.patience = morePatience(run);
    return `no answer to the numerics check within ${Math.round(phaseMs / 1000)} s`;
  }
  if (recalled && run.nowMs - recalled.sinceMs > deadMs + transferCreditMs) return 'it did not go back with the run';
  return run.nowMs - lastReceivedAtMs > deadMs ? `silent for ${deadMs / 1000} s` : undefined;
}

const mostPatience = 64;

/** Doubles the deadlines after a missed one, because all workers may have slow links. */
function morePatience({ patience }: RunState): number {
  return Math.min(mostPatience, 2 * patience);
}

/** Sends a ping if one is due, but none before the welcome. */
function heartbeat(run: RunState, { connection, phase, pingedAtMs }: Connection): void {
  if (phase === 'handshake') return;
  if (run.nowMs - pingedAtMs < run.setup.limits.heartbeatMs) return;
  updateConnection(run, connection, { pingedAtMs: run.nowMs });
  send(run, connection, { type: 'ping', sentAtMs: run.nowMs });
}

/**
 * A worker is expected to take at most this many times as long as an idle worker, even if it is known to be slower. In
 * its turn it has the time that it needs, up to the hard deadline.
 */
const mostTimesIdle = 10;

/**
 * Compares how long a worker has had its shards of the current step with how long they should take.
 *
 * @param idleWorkers the result of `idleOf`, which never contains a worker that owes a shard
 * @returns whether the worker or its shards are treated as late
 */
function checkShards(run: RunState, connection: Connection, idleWorkers: () => readonly Connection[]): boolean {
  const { softDeadlineMs, softFactor, hardDeadlineMs, hardFactor } = run.setup.limits;
  const { connection: id, samplesPerMs, link, transferCreditMs } = connection;
  const owned = run.current.shards.ownedBy(id);
  const own = owned.flatMap(({ assignments }) => assignments.filter((assignment) => assignment.connection === id));
  const trial = openTrial(connection);
  const trials = trial && trial.step <= run.current.step ? [trial] : [];
  const startedAtMs = Math.min(...[...own, ...trials].map((assignment) => assignment.startedAtMs));
  const owed = owedSamples(run.current, id);
  const ownMs = samplesPerMs > 0 ? owed / samplesPerMs + link.networkMs : Number.POSITIVE_INFINITY;
  // A trial counts separately: its shard may be done already and is then not owed.
  const trialMs = trials.reduce((sum, { samples }) => sum + durationMs(samples, samplesPerMs), 0);
  const knownMs = (Number.isFinite(ownMs) ? ownMs : link.networkMs) + trialMs;
  const answerByMs =
    connection.answerByMs ?? startedAtMs + run.patience * Math.max(hardDeadlineMs, hardFactor * knownMs);
  if (run.nowMs > answerByMs + transferCreditMs) {
    run.patience = morePatience(run);
    recordFailure(run, connection);
    disconnect(run, connection, 'no result before its deadline', 1008);
    return true;
  }
  const waitedMs = run.nowMs - startedAtMs;
  if (owned.length === 0 || (connection.answerByMs === undefined && waitedMs <= softDeadlineMs)) return false;

  const idle = idleWorkers();
  if (connection.answerByMs === undefined) {
    // The speeds that newcomers claim make no worker late.
    const known = idle.filter(({ isProven }) => isProven);
    const idleMs = Math.min(...known.map((worker) => durationMs(owed, worker.samplesPerMs) + worker.link.networkMs));
    const isTurn = own.some(({ why }) => why === 'turn');
    const mostMs = isTurn ? hardDeadlineMs / softFactor : mostTimesIdle * idleMs;
    const expectedMs = Math.min(ownMs, mostMs);
    if (waitedMs <= Math.max(softDeadlineMs, softFactor * expectedMs)) return false;
    if (idle.length === 0) {
      for (const shard of owned) if (shard.held.length > 0) referee(run, shard);
      return false;
    }
    // The worker has not finished in `waitedMs`, which bounds its rate, whatever it claimed.
    const rateAtMost = Math.min(samplesPerMs > 0 ? samplesPerMs : Number.POSITIVE_INFINITY, owed / waitedMs);
    const { overheadMs } = speedAfter(connection, { samples: owed, computeMs: 0, totalMs: waitedMs });
    const turn = turnAfterDelay(run, connection, waitedMs);
    markLate(run, connection, { answerByMs, overheadMs, samplesPerMs: boundedRate(rateAtMost), turn });
  }
  duplicate(run, owned, idle);
  return true;
}

/** Marks a worker as late; it is assigned nothing more until it has answered. */
function markLate(
  run: RunState,
  late: Connection,
  changes: Pick<Connection, 'answerByMs' | 'overheadMs' | 'samplesPerMs' | 'turn'>,
): void {
  updateConnection(run, late.connection, changes);
  emit(run, { type: 'late', workerId: late.workerId ?? '', step: run.current.step });
  // Tasks that were sent ahead go to other workers instead.
  if (!run.next) return;
  for (const { lo, n } of [...run.next.shards.values()].filter((shard) => owesShard(shard, late.connection))) {
    send(run, late.connection, { type: 'cancel', step: run.next.step, lo, n });
  }
  unassign(run.next, late.connection);
}

/**
 * Assigns shards whose workers are all late to idle workers as well; the first valid result wins. A newcomer gets at
 * most one microbatch, so a larger shard is unassigned instead, to be divided.
 */
function duplicate(run: RunState, owned: readonly ShardState[], idle: readonly Connection[]): void {
  const isLate = ({ connection }: Assignment): boolean => run.connections.get(connection)?.answerByMs !== undefined;
  const waiting = owned.filter((shard) => shard.assignments.every(isLate));
  const taken = new Set<ConnectionId>();
  for (const [index, shard] of waiting.entries()) {
    // A second result of the same worker confirms nothing.
    const others = idle.filter(
      ({ workerId, connection }) => !taken.has(connection) && !shard.held.some((vote) => vote.workerId === workerId),
    );
    const worker = others[index % others.length];
    // A newcomer's result would be held as well, and decide nothing.
    if (!worker?.isProven && shard.held.length > 0) {
      referee(run, shard);
      continue;
    }
    if (!worker) continue;
    if (!worker.isProven) taken.add(worker.connection);
    if (worker.isProven || shard.n === 1) assign(run, run.current, shard, worker, 'late');
    else updateShard(run.current, shard, { assignments: [] });
    countFault(run, 'duplicated');
  }
}

/** Returns the milliseconds that samples take; 0 if the rate is unknown. */
function durationMs(samples: number, samplesPerMs: number): number {
  return samplesPerMs > 0 ? samples / samplesPerMs : 0;
}
