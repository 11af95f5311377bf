/** What each message of a worker does to the run. */
import { toSentence } from '@lockstep/protocol';
import { stepBatch } from '../plan.ts';
import { blockKey } from '../tree.ts';
import { count, type Draft, notice, updateBlock, updateConnection, updateRecord } from './draft.ts';
import { endRun, hasEnded } from './ending.ts';
import type { Heard } from './events.ts';
import { admit, depart, greet, orphan } from './membership.ts';
import { rateAfter } from './rates.ts';
import type { BlockState, Connection, ConnectionId } from './state.ts';

export function hear(draft: Draft, id: ConnectionId, message: Heard): void {
  const connection = draft.connections.get(id);
  if (!connection) return;
  const { phase } = connection;
  switch (message.type) {
    case 'hello':
      if (phase === 'greeting') greet(draft, connection, message);
      else breach(draft, connection, 'a second hello');
      break;
    case 'probeResult':
      if (phase === 'probing') admit(draft, connection, message.hash, message.samplesPerMs);
      else breach(draft, connection, 'a probe result that nobody asked for');
      break;
    case 'gradient':
      if (phase === 'ready') takeGradient(draft, connection, message);
      // One that was sent before its sender was probed anew is late; before the first probe it is a breach.
      else if (connection.taskErrors === 0) breach(draft, connection, 'a gradient before the probe');
      break;
    case 'taskError':
      if (phase === 'greeting') breach(draft, connection, 'a task error before hello');
      else takeError(draft, connection, message);
      break;
    case 'status':
      if (phase === 'greeting') breach(draft, connection, 'a status before hello');
      else updateConnection(draft, id, { hidden: message.hidden });
      break;
    case 'ping':
      draft.effects.push({ type: 'send', connection: id, message: { type: 'pong', sentAtMs: message.sentAtMs } });
      break;
    case 'pong':
      break;
    case 'bye':
      depart(draft, connection, message.sentence, 1000);
      break;
    default:
      message satisfies never;
  }
}

/** A worker that speaks out of turn is closed; the run goes on without it. */
function breach(draft: Draft, connection: Connection, what: string): void {
  count(draft, 'rejected');
  const sentence = `protocol: ${what}`;
  notice(draft, { type: 'rejected', workerId: connection.workerId, sentence });
  depart(draft, connection, sentence, 1002);
}

function takeGradient(draft: Draft, connection: Connection, message: Extract<Heard, { type: 'gradient' }>): void {
  if (message.step > connection.weightsStep) {
    breach(draft, connection, `a gradient of step ${message.step}, whose weights it was not sent`);
    return;
  }
  updateConnection(draft, connection.connection, { answerByMs: undefined });
  const block = draft.current.blocks.get(blockKey(message));
  // Late or duplicate: the first valid result has won, and was the same to the bit or to rounding.
  if (message.step < draft.current.step || !block || block.done) return;

  draft.effects.push({ type: 'acceptGradient', lo: block.lo, n: block.n });
  updateBlock(draft.current, block, { done: true, owners: [] });
  cancelOthers(draft, connection, block);
  restartClocks(draft, connection);
  const own = block.owners.find((owner) => owner.connection === connection.connection);
  const computeMs = Math.min(message.computeMs, draft.nowMs - (own?.startedAtMs ?? connection.readyAtMs));
  const record = draft.records.get(connection.workerId ?? '');
  if (record) {
    if (record.probeHash !== undefined && !draft.contributed.has(record.probeHash)) {
      draft.contributed = new Set([...draft.contributed, record.probeHash]);
    }
    updateRecord(draft, record.id, {
      blocks: record.blocks + 1,
      samples: record.samples + block.samples,
      computeMs: record.computeMs + computeMs,
    });
  }
  const samplesPerMs = rateAfter(connection.samplesPerMs, block.samples, computeMs);
  updateConnection(draft, connection.connection, { samplesPerMs, taskErrors: 0 });
}

/**
 * Spares the other owners a block that is done. Not a late one: the answer to its block is how it shows that it is
 * back, and one that never comes is how it shows that it is not.
 */
function cancelOthers(draft: Draft, winner: Connection, { lo, n, owners }: BlockState): void {
  for (const { connection } of owners) {
    if (connection === winner.connection || draft.connections.get(connection)?.answerByMs !== undefined) continue;
    const cancel = { type: 'cancel', step: draft.current.step, lo, n } as const;
    draft.effects.push({ type: 'send', connection, message: cancel });
  }
}

/** A worker computes its blocks one after another: the time of those that are left counts from the last result. */
function restartClocks(draft: Draft, { connection }: Connection): void {
  for (const block of draft.current.blocks.values()) {
    if (block.done || !block.owners.some((owner) => owner.connection === connection)) continue;
    const owners = block.owners.map((owner) =>
      owner.connection === connection ? { ...owner, startedAtMs: draft.nowMs } : owner,
    );
    updateBlock(draft.current, block, { owners });
  }
}

function takeError(draft: Draft, connection: Connection, message: Extract<Heard, { type: 'taskError' }>): void {
  count(draft, 'rejected');
  notice(draft, { type: 'rejected', workerId: connection.workerId, sentence: message.sentence });
  if (message.code === 'non-finite') blameBlock(draft, connection, message);
  if (hasEnded(draft)) return;
  const taskErrors = connection.taskErrors + 1;
  if (taskErrors >= draft.setup.limits.maxTaskErrors) {
    const sentence = toSentence(`this worker failed ${taskErrors} times in a row; the last time: ${message.sentence}`);
    const refusal = { type: 'refuse', code: 'busy', sentence } as const;
    draft.effects.push({ type: 'send', connection: connection.connection, message: refusal });
    depart(draft, connection, sentence, 1008);
    return;
  }
  if (message.code === 'non-finite') {
    updateConnection(draft, connection.connection, { taskErrors, answerByMs: undefined });
    return;
  }
  // It may have lost its device and found another: it shows that it can compute before it is given blocks again.
  if (connection.phase === 'ready') {
    orphan(draft, connection);
    bankReadyTime(draft, connection);
  }
  updateConnection(draft, connection.connection, {
    phase: 'probing',
    openedAtMs: draft.nowMs,
    answerByMs: undefined,
    taskErrors,
    weightsStep: -1,
  });
  draft.effects.push({ type: 'sendProbe', connection: connection.connection });
}

function bankReadyTime(draft: Draft, connection: Connection): void {
  const record = draft.records.get(connection.workerId ?? '');
  if (record) updateRecord(draft, record.id, { readyMs: record.readyMs + draft.nowMs - connection.readyAtMs });
}

/** One non-finite result may be a worker's fault; the second is the block's own, and nothing can go on from there. */
function blameBlock(draft: Draft, connection: Connection, message: Extract<Heard, { type: 'taskError' }>): void {
  if (message.step !== draft.current.step) return;
  const block = draft.current.blocks.get(blockKey(message));
  // Only who was asked is heard: one worker's word, said twice, must not end the run.
  if (!block?.owners.some((owner) => owner.connection === connection.connection)) return;
  const nonFiniteFrom = [...block.nonFiniteFrom, connection.connection];
  const owners = block.owners.filter((owner) => owner.connection !== connection.connection);
  updateBlock(draft.current, block, { nonFiniteFrom, owners });
  if (nonFiniteFrom.length < 2) return;
  const { plan } = draft.setup;
  const range = stepBatch(plan, message.step);
  const first = range.first + block.lo * plan.leafSize;
  const last = first + block.samples - 1;
  endRun(
    draft,
    `step ${message.step + 1}: the gradient of samples ${first} to ${last} of epoch ${range.epoch + 1} is not finite, computed twice: training has diverged; try a smaller learning rate`,
  );
}
