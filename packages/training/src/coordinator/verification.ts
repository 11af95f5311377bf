/** What becomes of results that are compared: the right one counts, a wrong one ends its worker and the step begins anew. */
import { toMessageText } from '@lockstep/protocol';
import { stepBatch } from '../plan.ts';
import { type Shard, shardKey } from '../tree.ts';
import { failAsked } from './asked.ts';
import { cancelOwners } from './cancel-owners.ts';
import { recordContribution, recordOwnContribution } from './contributions.ts';
import { disconnect } from './disconnect.ts';
import { countFault, type Draft, emit, send, updateRecord, updateShard } from './draft.ts';
import { endRun } from './ending.ts';
import type { CoordinatorEvent } from './events.ts';
import { recordQuarantine, recordSuccess } from './reputation.ts';
import type { ConnectionId, ShardState, Vote } from './state.ts';
import { awaitedFrom } from './trials.ts';

/** Has the coordinator compute a shard of the current step itself, once. */
export function referee(draft: Draft, shard: ShardState): void {
  if (shard.refereed || shard.done) return;
  updateShard(draft.current, shard, { refereed: true });
  draft.effects.push({ type: 'referee', step: draft.current.step, lo: shard.lo, n: shard.n });
}

/** The coordinator's own result decides: every held one that differs was wrong. */
export function takeRefereed(draft: Draft, event: Extract<CoordinatorEvent, { type: 'refereed' }>): void {
  const shard = draft.current.shards.get(shardKey(event));
  if (event.step !== draft.current.step || !shard || shard.done) return;
  if (!event.isFinite) {
    if (draft.setup.isRelay) failAsked(draft, 'the gradient is not finite, and the relay finds the same');
    else endRun(draft, divergence(draft, shard));
    return;
  }
  decide(draft, shard, event.agreesWith);
}

/**
 * Adds a shard whose right result is known: every held one that differs was wrong. A worker's right result counts as that
 * worker's, so that the numeric modes of a run stay those of its workers.
 * @param right connections whose result equals the coordinator's own
 * @param own the result of the coordinator's own worker, if it decides
 */
export function decide(draft: Draft, shard: ShardState, right: readonly ConnectionId[], own?: Vote): void {
  const isRight = ({ connection }: Vote): boolean => right.includes(connection);
  const place = { step: draft.current.step, lo: shard.lo, n: shard.n };
  const falselyClaimed = falseClaims(draft, shard);
  completeHeld(draft, shard, own ?? shard.votes.find(isRight));
  for (const { connection } of shard.votes.filter(isRight)) recordSuccess(draft, connection);
  const wrong = shard.votes.filter((vote) => !isRight(vote));
  for (const vote of [...wrong, ...falselyClaimed]) quarantine(draft, vote, place);
}

/** Workers of the coordinator's numeric mode that found this finite shard non-finite: others may overflow earlier. */
function falseClaims(draft: Draft, { nonFiniteFrom }: ShardState): Vote[] {
  return nonFiniteFrom.flatMap((connection) => {
    const record = draft.records.get(draft.connections.get(connection)?.workerId ?? '');
    if (record === undefined || record.numericsHash !== draft.setup.refereeHash) return [];
    return [{ connection, workerId: record.id, computeMs: 0 }];
  });
}

/** Adds a held result, the coordinator's own where no vote is given, and drops the others. */
export function completeHeld(draft: Draft, shard: ShardState, vote: Vote | undefined): void {
  const { lo, n, samples } = shard;
  const { step } = draft.current;
  const awaited = awaitedFrom(draft, step, shard, vote?.connection);
  cancelOwners(draft, shard, vote?.connection);
  updateShard(draft.current, shard, { done: true, owners: [], addedFrom: vote?.workerId, isChecked: true });
  draft.effects.push({
    type: 'addHeld',
    step,
    lo,
    n,
    from: vote?.connection ?? 0,
    ...(awaited.length > 0 && { awaited }),
  });
  if (vote) recordContribution(draft, vote.workerId, samples, vote.computeMs);
  else recordOwnContribution(draft);
}

/** Ends a worker whose result was wrong, and computes anew what it has contributed to the current step. */
export function quarantine(
  draft: Draft,
  { connection: id, workerId }: Vote,
  { step, lo, n }: Shard & { readonly step: number },
): void {
  const record = draft.records.get(workerId);
  if (!record || record.quarantined !== undefined) return;
  const message = toMessageText(`its result of step ${step + 1}, microbatches ${lo} to ${lo + n - 1}, was wrong`);
  countFault(draft, 'quarantined');
  updateRecord(draft, workerId, { quarantined: message });
  emit(draft, { type: 'quarantined', workerId, message, shards: record.shards });
  const connection = draft.connections.get(id);
  if (connection) {
    recordQuarantine(draft, connection);
    send(draft, id, { type: 'refuse', code: 'numerics', message });
    disconnect(draft, connection, message, 1008);
  }
  restartStep(draft, workerId);
}

/** A sum cannot be taken back from a total, so the step begins anew where the worker's results are in it. */
function restartStep(draft: Draft, workerId: string): void {
  const { step, asked, shards } = draft.current;
  if (![...shards.values()].some(({ addedFrom }) => addedFrom === workerId)) return;
  draft.effects.push({ type: 'restartStep', step, ...(asked && { asked }) });
  for (const shard of [...shards.values()]) {
    updateShard(draft.current, shard, { votes: [], refereed: false, addedFrom: undefined, isChecked: false });
    if (shard.done) updateShard(draft.current, shard, { done: false, owners: [] });
  }
}

function divergence(draft: Draft, shard: ShardState): string {
  const { plan } = draft.setup;
  const { step } = draft.current;
  const batch = stepBatch(plan, step);
  const first = batch.first + shard.lo * plan.microbatchSize;
  return `step ${step + 1}: the gradient of samples ${first} to ${first + shard.samples - 1} of epoch ${batch.epoch + 1} is not finite, and the coordinator finds the same: training has diverged; try a smaller learning rate`;
}
