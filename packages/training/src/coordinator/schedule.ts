/** Which worker computes which shard: the shares of a step, and new owners for shards that have lost theirs. */
import { samplesInShard, usedMicrobatches } from '../plan.ts';
import { halvesOf, type Shard, shardKey, shardsOfRange } from '../tree.ts';
import { available, type Draft, isOwner, owedSamples, type StepDraft, updateConnection, updateShard } from './draft.ts';
import { boundedRate } from './rates.ts';
import { coarseShares } from './shares.ts';
import type { Connection, ConnectionId, ShardState } from './state.ts';

/**
 * A worker whose share is empty is not measured either, so one bad measurement would exclude it for ever: each step
 * without a share raises its assumed rate by this factor, until it gets one.
 */
const unsharedRaise = 1.02;

function newShard(draft: Draft, step: number, { lo, n }: Shard): ShardState {
  return { lo, n, samples: samplesInShard(draft.setup.plan, step, lo, n), owners: [], done: false, nonFiniteFrom: [] };
}

/** Cuts a step into shards, each owned by one available worker; one shard without an owner where none is available. */
export function planStep(draft: Draft, step: number): StepDraft {
  const { microbatches } = draft.setup.plan;
  const used = usedMicrobatches(draft.setup.plan, step);
  const planned: StepDraft = { step, shards: new Map() };
  const workers = available(draft);
  if (workers.length === 0) {
    const whole = { lo: 0, n: microbatches };
    planned.shards.set(shardKey(whole), newShard(draft, step, whole));
    return planned;
  }
  const rates = workers.map((worker) => worker.samplesPerMs);
  const cut = coarseShares(used, rates);
  let from = 0;
  for (const [index, worker] of workers.entries()) {
    const to = from + (cut[index] ?? 0);
    if (to === from && used >= workers.length) {
      updateConnection(draft, worker.connection, { samplesPerMs: boundedRate(worker.samplesPerMs * unsharedRaise) });
    }
    // The last share runs on over the empty microbatches: fewer, larger shards make fewer gradients to send.
    for (const shard of shardsOfRange(from, to === used && to > from ? microbatches : to)) {
      if (shard.lo >= used) continue;
      planned.shards.set(shardKey(shard), newShard(draft, step, shard));
      assign(draft, planned, shard, worker.connection);
    }
    from = to;
  }
  return planned;
}

/** Makes a connection one of a shard's owners, and sends it the task. */
export function assign(draft: Draft, step: StepDraft, shard: Shard, connection: ConnectionId): void {
  const before = step.shards.get(shardKey(shard));
  const worker = draft.connections.get(connection);
  if (!before || !worker) return;
  if (step.step === draft.current.step) sendWeightsOnce(draft, worker);
  updateShard(step, shard, { owners: [...before.owners, { connection, startedAtMs: draft.nowMs }] });
  draft.effects.push({ type: 'sendTask', connection, step: step.step, lo: shard.lo, n: shard.n });
}

/** Takes a connection off every shard of a step that is not done; returns how many shards that left without an owner. */
export function unassign(step: StepDraft, connection: ConnectionId): number {
  let unowned = 0;
  for (const shard of step.shards.values()) {
    if (!isOwner(shard, connection)) continue;
    const owners = shard.owners.filter((owner) => owner.connection !== connection);
    updateShard(step, shard, { owners });
    if (owners.length === 0) unowned += 1;
  }
  return unowned;
}

/** Sends the current step's weights to a worker that has not had them. */
export function sendWeightsOnce(draft: Draft, worker: Connection): void {
  const { step } = draft.current;
  if (worker.weightsStep >= step) return;
  draft.effects.push({ type: 'sendWeights', connection: worker.connection, step });
  updateConnection(draft, worker.connection, { weightsStep: step });
}

/**
 * Assigns every unowned shard of a step to the available worker that owes the fewest samples, the largest shard first.
 * Shards are halved first while there are more idle workers than unowned shards.
 */
export function assignUnowned(draft: Draft, step: StepDraft): void {
  if (unownedShards(step).length === 0) return;
  const workers = available(draft);
  if (workers.length === 0) return;
  const owed = new Map(workers.map((worker) => [worker.connection, owedSamples(step, worker.connection)]));
  halveForIdle(draft, step, [...owed.values()].filter((samples) => samples === 0).length);
  for (const shard of unownedShards(step).sort((a, b) => b.samples - a.samples || a.lo - b.lo)) {
    // A shard that came back non-finite goes to another worker, if there is one.
    const others = [...owed].filter(([connection]) => !shard.nonFiniteFrom.includes(connection));
    const candidates = others.length > 0 ? others : [...owed];
    const [connection, samples] = candidates.reduce((least, entry) => (entry[1] < least[1] ? entry : least));
    assign(draft, step, shard, connection);
    owed.set(connection, samples + shard.samples);
  }
}

function unownedShards(step: StepDraft): ShardState[] {
  return [...step.shards.values()].filter((shard) => !shard.done && shard.owners.length === 0);
}

/** Halves the largest unowned shard until there are as many as idle workers, or none is left to halve. */
function halveForIdle(draft: Draft, step: StepDraft, idleWorkers: number): void {
  const used = usedMicrobatches(draft.setup.plan, step.step);
  for (let waiting = unownedShards(step); waiting.length < idleWorkers; waiting = unownedShards(step)) {
    const largest = waiting.filter((shard) => shard.n > 1).sort((a, b) => b.samples - a.samples)[0];
    if (!largest) return;
    step.shards.delete(shardKey(largest));
    for (const half of halvesOf(largest)) {
      if (half.lo >= used) continue;
      step.shards.set(shardKey(half), { ...newShard(draft, step.step, half), nonFiniteFrom: largest.nonFiniteFrom });
    }
  }
}
