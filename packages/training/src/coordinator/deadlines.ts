/** What time does to a run: silence is death, and a late block is given to somebody idle, then taken away. */
import { give, release } from './assign.ts';
import { available, count, type Draft, notice, owedSamples, updateConnection } from './draft.ts';
import { depart, forgetStrangers } from './membership.ts';
import { boundedRate } from './rates.ts';
import type { Assignment, BlockState, Connection } from './state.ts';

/** Called at every tick of the shell's timer. */
export function chase(draft: Draft): void {
  for (const connection of [...draft.connections.values()]) {
    if (!expire(draft, connection)) heartbeat(draft, connection);
  }
  forgetStrangers(draft);
  if (draft.phase !== 'training') return;
  for (const connection of [...draft.connections.values()]) {
    if (connection.phase === 'ready') chaseBlocks(draft, connection);
  }
}

/** Ends a connection that has run out of time; true where it did. */
function expire(draft: Draft, connection: Connection): boolean {
  const { handshakeMs, probeMs, deadMs } = draft.setup.limits;
  const openMs = draft.nowMs - connection.openedAtMs;
  const sentence =
    connection.phase === 'greeting' && openMs > handshakeMs
      ? `no hello within ${handshakeMs / 1000} s`
      : connection.phase === 'probing' && openMs > probeMs
        ? `no answer to the probe within ${probeMs / 1000} s`
        : draft.nowMs - connection.heardAtMs > deadMs
          ? `silent for ${deadMs / 1000} s`
          : undefined;
  if (sentence === undefined) return false;
  depart(draft, connection, sentence, 1008);
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

/** Compares how long a worker has had its blocks of the current step with how long they should take. */
function chaseBlocks(draft: Draft, connection: Connection): void {
  const { softDeadlineMs, softFactor, hardDeadlineMs, hardFactor } = draft.setup.limits;
  const owned = [...draft.current.blocks.values()].filter((block) => isOwner(block, connection));
  const startedAtMs = Math.min(...owned.flatMap((block) => startsOf(block, connection)));
  const owed = owedSamples(draft.current, connection.connection);
  const ownRate = connection.samplesPerMs;
  const answerByMs =
    connection.answerByMs ?? startedAtMs + Math.max(hardDeadlineMs, hardFactor * timeOf(owed, ownRate));
  if (draft.nowMs > answerByMs) {
    depart(draft, connection, 'no result within the time that it may take', 1008);
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
  notice(draft, { type: 'late', workerId: late.workerId ?? '', step: draft.current.step });
  // What was sent ahead goes to those who keep up; the late worker drops it when newer weights come.
  if (draft.next) release(draft.next, late.connection);
}

/** Gives blocks that only late workers have to idle ones as well; the first valid result wins. */
function duplicate(draft: Draft, owned: readonly BlockState[], idle: readonly Connection[]): void {
  const isLate = (owner: Assignment): boolean => draft.connections.get(owner.connection)?.answerByMs !== undefined;
  const waiting = owned.filter((block) => block.owners.every(isLate));
  for (const [index, block] of waiting.entries()) {
    give(draft, draft.current, block, idle[index % idle.length]!.connection);
    count(draft, 'duplicated');
  }
}

function isOwner(block: BlockState, connection: Connection): boolean {
  return !block.done && block.owners.some((owner) => owner.connection === connection.connection);
}

/** When a connection was given a block, in a list of one. */
function startsOf(block: BlockState, connection: Connection): number[] {
  return block.owners.filter((owner) => owner.connection === connection.connection).map((owner) => owner.startedAtMs);
}

/** Milliseconds that so many samples take; 0 where the rate is not known. */
function timeOf(samples: number, samplesPerMs: number): number {
  return samplesPerMs > 0 ? samples / samplesPerMs : 0;
}
