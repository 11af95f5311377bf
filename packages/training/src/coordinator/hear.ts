/** What each message of a worker does to the run. */
import { toMessageText } from '@lockstep/protocol';
import { stepBatch } from '../plan.ts';
import { shardKey } from '../tree.ts';
import { count, type Draft, emit, updateConnection, updateRecord, updateShard } from './draft.ts';
import { endRun, hasEnded } from './ending.ts';
import type { CheckedMessage } from './events.ts';
import { activate, disconnect, handshake, unassignAll } from './membership.ts';
import { rateAfter } from './rates.ts';
import type { Connection, ConnectionId, ShardState } from './state.ts';

export function handleMessage(draft: Draft, id: ConnectionId, message: CheckedMessage): void {
  const connection = draft.connections.get(id);
  if (!connection) return;
  const { phase } = connection;
  switch (message.type) {
    case 'hello':
      if (phase === 'handshake') handshake(draft, connection, message);
      else protocolViolation(draft, connection, 'a second hello');
      break;
    case 'numericsResult':
      if (phase === 'checking') activate(draft, connection, message.hash, message.samplesPerMs);
      else protocolViolation(draft, connection, 'a numerics check result that nobody asked for');
      break;
    case 'gradient':
      if (phase === 'ready') takeGradient(draft, connection, message);
      // One that was sent before its sender was checked anew is late; before the first numerics check it is a breach.
      else if (connection.taskErrors === 0)
        protocolViolation(draft, connection, 'a gradient before the numerics check');
      break;
    case 'taskError':
      if (phase === 'handshake') protocolViolation(draft, connection, 'a task error before hello');
      else takeError(draft, connection, message);
      break;
    case 'status':
      if (phase === 'handshake') protocolViolation(draft, connection, 'a status before hello');
      else updateConnection(draft, id, { hidden: message.hidden });
      break;
    case 'ping':
      draft.effects.push({ type: 'send', connection: id, message: { type: 'pong', sentAtMs: message.sentAtMs } });
      break;
    case 'pong':
      break;
    case 'bye':
      disconnect(draft, connection, message.message, 1000);
      break;
    default:
      message satisfies never;
  }
}

/** A worker that speaks out of turn is closed; the run goes on without it. */
function protocolViolation(draft: Draft, connection: Connection, what: string): void {
  count(draft, 'rejected');
  const message = `protocol: ${what}`;
  emit(draft, { type: 'rejected', workerId: connection.workerId, message });
  disconnect(draft, connection, message, 1002);
}

function takeGradient(
  draft: Draft,
  connection: Connection,
  message: Extract<CheckedMessage, { type: 'gradient' }>,
): void {
  if (message.step > connection.weightsStep) {
    protocolViolation(draft, connection, `a gradient of step ${message.step}, whose weights it was not sent`);
    return;
  }
  updateConnection(draft, connection.connection, { answerByMs: undefined });
  const shard = draft.current.shards.get(shardKey(message));
  // Late or duplicate: the first valid result has won, and was the same to the bit or to rounding.
  if (message.step < draft.current.step || !shard || shard.done) return;

  draft.effects.push({ type: 'acceptGradient', lo: shard.lo, n: shard.n });
  updateShard(draft.current, shard, { done: true, owners: [] });
  cancelOthers(draft, connection, shard);
  restartClocks(draft, connection);
  const own = shard.owners.find((owner) => owner.connection === connection.connection);
  const computeMs = Math.min(message.computeMs, draft.nowMs - (own?.startedAtMs ?? connection.readyAtMs));
  const record = draft.records.get(connection.workerId ?? '');
  if (record) {
    if (record.numericsHash !== undefined && !draft.contributed.has(record.numericsHash)) {
      draft.contributed = new Set([...draft.contributed, record.numericsHash]);
    }
    updateRecord(draft, record.id, {
      shards: record.shards + 1,
      samples: record.samples + shard.samples,
      computeMs: record.computeMs + computeMs,
    });
  }
  const samplesPerMs = rateAfter(connection.samplesPerMs, shard.samples, computeMs);
  updateConnection(draft, connection.connection, { samplesPerMs, taskErrors: 0 });
}

/**
 * Spares the other owners a shard that is done. Not a late one: the answer to its shard is how it shows that it is
 * back, and one that never comes is how it shows that it is not.
 */
function cancelOthers(draft: Draft, winner: Connection, { lo, n, owners }: ShardState): void {
  for (const { connection } of owners) {
    if (connection === winner.connection || draft.connections.get(connection)?.answerByMs !== undefined) continue;
    const cancel = { type: 'cancel', step: draft.current.step, lo, n } as const;
    draft.effects.push({ type: 'send', connection, message: cancel });
  }
}

/** A worker computes its shards one after another: the time of those that are left counts from the last result. */
function restartClocks(draft: Draft, { connection }: Connection): void {
  for (const shard of draft.current.shards.values()) {
    if (shard.done || !shard.owners.some((owner) => owner.connection === connection)) continue;
    const owners = shard.owners.map((owner) =>
      owner.connection === connection ? { ...owner, startedAtMs: draft.nowMs } : owner,
    );
    updateShard(draft.current, shard, { owners });
  }
}

function takeError(
  draft: Draft,
  connection: Connection,
  message: Extract<CheckedMessage, { type: 'taskError' }>,
): void {
  count(draft, 'rejected');
  emit(draft, { type: 'rejected', workerId: connection.workerId, message: message.message });
  if (message.code === 'non-finite') blameShard(draft, connection, message);
  if (hasEnded(draft)) return;
  const taskErrors = connection.taskErrors + 1;
  if (taskErrors >= draft.setup.limits.maxTaskErrors) {
    const why = toMessageText(`this worker failed ${taskErrors} times in a row; the last time: ${message.message}`);
    const refusal = { type: 'refuse', code: 'busy', message: why } as const;
    draft.effects.push({ type: 'send', connection: connection.connection, message: refusal });
    disconnect(draft, connection, why, 1008);
    return;
  }
  if (message.code === 'non-finite') {
    updateConnection(draft, connection.connection, { taskErrors, answerByMs: undefined });
    return;
  }
  // It may have lost its device and found another: it shows that it can compute before it is given shards again.
  if (connection.phase === 'ready') {
    unassignAll(draft, connection);
    bankReadyTime(draft, connection);
  }
  updateConnection(draft, connection.connection, {
    phase: 'checking',
    openedAtMs: draft.nowMs,
    answerByMs: undefined,
    taskErrors,
    weightsStep: -1,
  });
  draft.effects.push({ type: 'sendNumericsCheck', connection: connection.connection });
}

function bankReadyTime(draft: Draft, connection: Connection): void {
  const record = draft.records.get(connection.workerId ?? '');
  if (record) updateRecord(draft, record.id, { readyMs: record.readyMs + draft.nowMs - connection.readyAtMs });
}

/** One non-finite result may be a worker's fault; the second is the shard's own, and nothing can go on from there. */
function blameShard(
  draft: Draft,
  connection: Connection,
  message: Extract<CheckedMessage, { type: 'taskError' }>,
): void {
  if (message.step !== draft.current.step) return;
  const shard = draft.current.shards.get(shardKey(message));
  // Only who was asked is heard: one worker's word, said twice, must not end the run.
  if (!shard?.owners.some((owner) => owner.connection === connection.connection)) return;
  const nonFiniteFrom = [...shard.nonFiniteFrom, connection.connection];
  const owners = shard.owners.filter((owner) => owner.connection !== connection.connection);
  updateShard(draft.current, shard, { nonFiniteFrom, owners });
  if (nonFiniteFrom.length < 2) return;
  const { plan } = draft.setup;
  const range = stepBatch(plan, message.step);
  const first = range.first + shard.lo * plan.microbatchSize;
  const last = first + shard.samples - 1;
  endRun(
    draft,
    `step ${message.step + 1}: the gradient of samples ${first} to ${last} of epoch ${range.epoch + 1} is not finite, computed twice: training has diverged; try a smaller learning rate`,
  );
}
