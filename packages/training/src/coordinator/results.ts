/** What a worker's result does: a gradient completes a shard, a task error sends it to another worker. */
import { toMessageText } from '@lockstep/protocol';
import { type Shard, shardKey } from '../tree.ts';
import { cancelOwners } from './cancel-owners.ts';
import { recordContribution } from './contributions.ts';
import { addReadyTime, disconnect, protocolViolation, unassignAll } from './disconnect.ts';
import { countFault, type Draft, emit, isOwner, send, updateConnection, updateShard } from './draft.ts';
import { hasEnded } from './ending.ts';
import type { CheckedMessage } from './events.ts';
import { measureLink } from './links.ts';
import { recordSuccess } from './reputation.ts';
import { speedAfter } from './speed.ts';
import type { Connection, ConnectionId, CoordinatorState, ShardState } from './state.ts';
import { isTrial, takeTrial } from './trials.ts';
import { completeHeld, decide, quarantine, referee } from './verification.ts';

type GradientMessage = Extract<CheckedMessage, { type: 'gradient' }>;
type TaskErrorMessage = Extract<CheckedMessage, { type: 'taskError' }>;

/**
 * Decides what the run does with a result before it reports it: adds it, holds it until it was compared, compares it with the sum
 * that was added instead, or drops it. Only an owner of a shard of the current step, which has the step's weights, is
 * listened to; and a worker on trial, however late. The result of a worker that is not proven never counts by itself.
 */
export function settle(
  state: Pick<CoordinatorState, 'connections' | 'current'>,
  id: ConnectionId,
  result: Shard & { readonly step: number },
): 'add' | 'hold' | 'compare' | 'drop' {
  const connection = state.connections.get(id);
  if (connection?.phase !== 'ready' || connection.weightsStep < result.step) return 'drop';
  const shard = result.step === state.current.step ? state.current.shards.get(shardKey(result)) : undefined;
  if (!shard || !isOwner(shard, id)) return isTrial(connection, result) ? 'compare' : 'drop';
  if (connection.isOwn) return shard.votes.length > 0 ? 'hold' : 'add';
  const isCompared = shard.policy === 'referee' || shard.refereed || shard.votes.length > 0;
  return isCompared || !connection.isProven || hasDoubtedOwner(state, shard) ? 'hold' : 'add';
}

/** Whether the coordinator is to compute a shard because of one of its owners. */
function hasDoubtedOwner({ connections }: Pick<CoordinatorState, 'connections'>, { owners }: ShardState): boolean {
  return owners.some(({ connection }) => connections.get(connection)?.isDoubted);
}

export function takeGradient(draft: Draft, connection: Connection, message: GradientMessage): void {
  const { connection: id, workerId = '' } = connection;
  if (message.step > connection.weightsStep) {
    protocolViolation(draft, connection, `a gradient of step ${message.step}, whose weights it was not sent`);
    return;
  }
  updateConnection(draft, id, { answerByMs: undefined });
  const settlement = settle(draft, id, message);
  const wasTrial = takeTrial(draft, connection, message);
  if (settlement === 'compare') takeLate(draft, connection, message);
  // A dropped result is late, a duplicate, or of a shard that this worker was not given.
  if (settlement === 'compare' || settlement === 'drop') return;

  const shard = draft.current.shards.get(shardKey(message))!;
  const own = shard.owners.find((owner) => owner.connection === id);
  const totalMs = draft.nowMs - (own?.startedAtMs ?? connection.readyAtMs);
  const computeMs = Math.min(message.computeMs, totalMs);
  if (settlement === 'add' && !message.isSuspect) {
    updateShard(draft.current, shard, { done: true, owners: [], addedFrom: workerId, isChecked: connection.isOwn });
    cancelOwners(draft, shard, id);
    recordContribution(draft, workerId, shard.samples, computeMs);
  } else {
    takeVote(draft, connection, shard, message, computeMs);
  }
  restartClocks(draft, id);
  const speed = wasTrial ? {} : speedAfter(connection, { samples: shard.samples, computeMs, totalMs });
  updateConnection(draft, id, { taskErrors: 0, transferCreditMs: 0, newestResult: message.step, ...speed });
  if (wasTrial) return;
  measureLink(draft, connection, { totalMs, computeMs, turnaroundMs: message.turnaroundMs });
}

/** The result of a trial whose shard was done before, compared with the sum that was added. */
function takeLate(
  draft: Draft,
  { connection: id, workerId = '' }: Connection,
  { step, lo, n, computeMs, comparison }: GradientMessage,
): void {
  // The sum is not kept: the worker gets another trial.
  if (!comparison) return;
  if (comparison.isSame) {
    recordSuccess(draft, id);
    if (step === draft.current.step) updateShard(draft.current, { lo, n }, { isChecked: true });
  } else if (comparison.isChecked) {
    quarantine(draft, { connection: id, workerId, computeMs }, { step, lo, n });
  } else {
    updateConnection(draft, id, { isDoubted: true });
  }
}

/**
 * The coordinator's own result decides. A proven worker's result counts if it equals every held one, and confirms them. The
 * coordinator computes the shard if results differ, or if the shard or a doubtful result is to be checked. A newcomer's
 * result waits.
 */
function takeVote(
  draft: Draft,
  { connection: id, workerId = '', isProven, isOwn }: Connection,
  shard: ShardState,
  { agreesWith = [], isSuspect = false }: GradientMessage,
  computeMs: number,
): void {
  const vote = { connection: id, workerId, computeMs };
  const isDoubtful = shard.policy === 'referee' || (isProven && (isSuspect || hasDoubtedOwner(draft, shard)));
  const isAgreed = shard.votes.every(({ connection }) => agreesWith.includes(connection));
  const owners = shard.owners.filter(({ connection }) => connection !== id);
  updateShard(draft.current, shard, { votes: [...shard.votes, vote], owners });
  const held = draft.current.shards.get(shardKey(shard))!;
  if (isOwn) decide(draft, held, [...agreesWith, id], vote);
  else if (isDoubtful || !isAgreed) referee(draft, held);
  else if (isProven && !shard.refereed) {
    completeHeld(draft, held, vote);
    for (const { connection } of held.votes) recordSuccess(draft, connection);
  }
}

/** A worker computes its shards one after another: the time of those that are left counts from the last result. */
function restartClocks(draft: Draft, id: ConnectionId): void {
  for (const shard of draft.current.shards.ownedBy(id)) {
    const owners = shard.owners.map((owner) =>
      owner.connection === id ? { ...owner, startedAtMs: draft.nowMs } : owner,
    );
    updateShard(draft.current, shard, { owners });
  }
}

export function takeTaskError(draft: Draft, connection: Connection, error: TaskErrorMessage): void {
  // Of its other shards, which it has lost already, from before it learned of the check: a device is lost once.
  if (connection.phase === 'checking') return;
  countFault(draft, 'rejected');
  emit(draft, { type: 'rejected', workerId: connection.workerId, message: error.message });
  if (isTrial(connection, error)) updateConnection(draft, connection.connection, { trial: undefined });
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
  unassignAll(draft, connection);
  addReadyTime(draft, connection);
  const { connection: id } = connection;
  updateConnection(draft, id, {
    phase: 'checking',
    phaseAtMs: draft.nowMs,
    transferCreditMs: 0,
    weightsStep: -1,
    trial: undefined,
  });
  draft.effects.push({ type: 'sendNumericsCheck', connection: id });
}

/** A claim of non-finite numbers is believed when the coordinator finds the same; only an owner's claim is checked. */
function reportNonFinite(draft: Draft, { connection: id }: Connection, error: TaskErrorMessage): void {
  if (error.step !== draft.current.step) return;
  const shard = draft.current.shards.get(shardKey(error));
  if (!shard || !isOwner(shard, id)) return;
  const nonFiniteFrom = [...shard.nonFiniteFrom, id];
  const owners = shard.owners.filter((owner) => owner.connection !== id);
  updateShard(draft.current, shard, { nonFiniteFrom, owners });
  referee(draft, draft.current.shards.get(shardKey(error))!);
}
