/** What a worker's result does: a gradient completes a shard, a task error sends it to another worker. */
import { toMessageText } from '@lockstep/protocol';
import { stepBatch } from '../plan.ts';
import { type Shard, shardKey } from '../tree.ts';
import { addReadyTime, disconnect, protocolViolation, unassignAll } from './disconnect.ts';
import { countFault, type Draft, emit, isOwner, send, updateConnection, updateRecord, updateShard } from './draft.ts';
import { endRun, hasEnded } from './ending.ts';
import type { CheckedMessage } from './events.ts';
import { rateAfter } from './rates.ts';
import type { Connection, ConnectionId, CoordinatorState, ShardState } from './state.ts';

type GradientMessage = Extract<CheckedMessage, { type: 'gradient' }>;
type TaskErrorMessage = Extract<CheckedMessage, { type: 'taskError' }>;

/**
 * Whether the state will take this result: the shard is of the current step, not done yet, and the worker was sent the
 * step's weights. The run asks before it adds a gradient, and reports the result in the next event.
 */
export function isWanted(
  state: Pick<CoordinatorState, 'connections' | 'current'>,
  id: ConnectionId,
  result: Shard & { readonly step: number },
): boolean {
  const connection = state.connections.get(id);
  if (connection?.phase !== 'ready' || connection.weightsStep < result.step) return false;
  return result.step === state.current.step && state.current.shards.get(shardKey(result))?.done === false;
}

export function takeGradient(draft: Draft, connection: Connection, message: GradientMessage): void {
  const { connection: id } = connection;
  if (message.step > connection.weightsStep) {
    protocolViolation(draft, connection, `a gradient of step ${message.step}, whose weights it was not sent`);
    return;
  }
  updateConnection(draft, id, { answerByMs: undefined });
  // A late or duplicate result is ignored: the first valid one was the same to the bit, or to rounding.
  if (!isWanted(draft, id, message)) return;

  const shard = draft.current.shards.get(shardKey(message))!;
  updateShard(draft.current, shard, { done: true, owners: [] });
  cancelOtherOwners(draft, id, shard);
  restartClocks(draft, id);
  const own = shard.owners.find((owner) => owner.connection === id);
  const computeMs = Math.min(message.computeMs, draft.nowMs - (own?.startedAtMs ?? connection.readyAtMs));
  recordResult(draft, connection.workerId ?? '', shard.samples, computeMs);
  const samplesPerMs = rateAfter(connection.samplesPerMs, shard.samples, computeMs);
  updateConnection(draft, id, { samplesPerMs, taskErrors: 0 });
}

function recordResult(draft: Draft, workerId: string, samples: number, computeMs: number): void {
  const record = draft.records.get(workerId);
  if (!record) return;
  if (record.numericsHash !== undefined && !draft.contributed.has(record.numericsHash)) {
    draft.contributed = new Set([...draft.contributed, record.numericsHash]);
  }
  updateRecord(draft, workerId, {
    shards: record.shards + 1,
    samples: record.samples + samples,
    computeMs: record.computeMs + computeMs,
  });
}

/**
 * Cancels a shard that is done with its other owners. Not with a late one: its answer shows that it is back, and the
 * answer's absence that it is not.
 */
function cancelOtherOwners(draft: Draft, winner: ConnectionId, { lo, n, owners }: ShardState): void {
  for (const { connection } of owners) {
    if (connection === winner || draft.connections.get(connection)?.answerByMs !== undefined) continue;
    send(draft, connection, { type: 'cancel', step: draft.current.step, lo, n });
  }
}

/** A worker computes its shards one after another: the time of those that are left counts from the last result. */
function restartClocks(draft: Draft, id: ConnectionId): void {
  for (const shard of draft.current.shards.values()) {
    if (!isOwner(shard, id)) continue;
    const owners = shard.owners.map((owner) =>
      owner.connection === id ? { ...owner, startedAtMs: draft.nowMs } : owner,
    );
    updateShard(draft.current, shard, { owners });
  }
}

export function takeTaskError(draft: Draft, connection: Connection, error: TaskErrorMessage): void {
  countFault(draft, 'rejected');
  emit(draft, { type: 'rejected', workerId: connection.workerId, message: error.message });
  if (error.code === 'non-finite') reportNonFinite(draft, connection, error);
  if (hasEnded(draft)) return;
  const { connection: id } = connection;
  const taskErrors = connection.taskErrors + 1;
  if (taskErrors >= draft.setup.limits.maxTaskErrors) {
    const message = toMessageText(`this worker failed ${taskErrors} times in a row; the last time: ${error.message}`);
    send(draft, id, { type: 'refuse', code: 'busy', message });
    disconnect(draft, connection, message, 1008);
    return;
  }
  updateConnection(draft, id, { taskErrors, answerByMs: undefined });
  if (error.code !== 'non-finite') checkAgain(draft, connection);
}

/** A worker that failed may have lost its device and found another: it must pass the numerics check before the next task. */
function checkAgain(draft: Draft, connection: Connection): void {
  if (connection.phase === 'ready') {
    unassignAll(draft, connection);
    addReadyTime(draft, connection);
  }
  const { connection: id } = connection;
  updateConnection(draft, id, { phase: 'checking', openedAtMs: draft.nowMs, weightsStep: -1 });
  draft.effects.push({ type: 'sendNumericsCheck', connection: id });
}

/** One non-finite result may be the worker's fault; with a second, the shard itself is non-finite, and the run ends. */
function reportNonFinite(draft: Draft, { connection: id }: Connection, error: TaskErrorMessage): void {
  if (error.step !== draft.current.step) return;
  const shard = draft.current.shards.get(shardKey(error));
  // Only an owner counts: one worker's claim, made twice, must not end the run.
  if (!shard || !isOwner(shard, id)) return;
  const nonFiniteFrom = [...shard.nonFiniteFrom, id];
  const owners = shard.owners.filter((owner) => owner.connection !== id);
  updateShard(draft.current, shard, { nonFiniteFrom, owners });
  if (nonFiniteFrom.length < 2) return;
  const { plan } = draft.setup;
  const batch = stepBatch(plan, error.step);
  const first = batch.first + shard.lo * plan.microbatchSize;
  endRun(
    draft,
    `step ${error.step + 1}: the gradient of samples ${first} to ${first + shard.samples - 1} of epoch ${batch.epoch + 1} is not finite, computed twice: training has diverged; try a smaller learning rate`,
  );
}
