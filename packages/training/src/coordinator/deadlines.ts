/** What time does to a run: silence is death, and a late block is given to somebody idle, then taken away. */
import { give, release } from './assign.ts';
import { available, count, type Draft, notice, owedSamples, updateConnection } from './draft.ts';
import { depart } from './membership.ts';
import type { BlockState, Connection } from './state.ts';

/** Called at every tick of the shell's timer. */
export function chase(draft: Draft): void {
  for (const connection of [...draft.connections.values()]) {
    if (!expire(draft, connection)) heartbeat(draft, connection);
  }
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

/** Compares how long a worker has had its blocks of the current step with how long they should take. */
function chaseBlocks(draft: Draft, connection: Connection): void {
  const owned = [...draft.current.blocks.values()].filter((block) => isOwner(block, connection));
  if (owned.length === 0) return;
  const { softDeadlineMs, softFactor, hardDeadlineMs, hardFactor } = draft.setup.limits;
  const startedAtMs = Math.min(
    ...owned
      .flatMap((block) => block.owners.filter((owner) => owner.connection === connection.connection))
      .map((owner) => owner.startedAtMs),
  );
  const waitedMs = draft.nowMs - startedAtMs;
  const owed = owedSamples(draft.current, connection.connection);
  const predictedMs = connection.samplesPerMs > 0 ? owed / connection.samplesPerMs : 0;
  if (waitedMs > Math.max(hardDeadlineMs, hardFactor * predictedMs)) {
    depart(draft, connection, `no result for ${Math.round(waitedMs / 1000)} s`, 1008);
    return;
  }
  if (waitedMs > Math.max(softDeadlineMs, softFactor * predictedMs)) duplicate(draft, connection, owned);
}

/** Gives a late worker's blocks to idle ones as well; the first valid result wins. */
function duplicate(draft: Draft, late: Connection, owned: readonly BlockState[]): void {
  const others = available(draft).filter((worker) => worker.connection !== late.connection);
  if (others.length === 0) return;
  if (late.lateSinceStep === undefined) {
    updateConnection(draft, late.connection, { lateSinceStep: draft.current.step });
    notice(draft, { type: 'late', workerId: late.workerId ?? '', step: draft.current.step });
    // What was sent ahead goes to those who keep up; the late worker drops it when newer weights come.
    if (draft.next) release(draft.next, late.connection);
  }
  for (const block of owned) {
    if (block.owners.length > 1) continue;
    const idle = others.find((worker) => owedSamples(draft.current, worker.connection) === 0);
    if (!idle) return;
    give(draft, draft.current, block, idle.connection);
    count(draft, 'duplicated');
  }
}

function isOwner(block: BlockState, connection: Connection): boolean {
  return !block.done && block.owners.some((owner) => owner.connection === connection.connection);
}
