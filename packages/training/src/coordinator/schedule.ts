/** Which worker computes which shard: the shares of a step, and new owners for shards that have lost theirs. */
import { samplesInShard, usedMicrobatches } from '../plan.ts';
import { halvesOf, type Shard, shardKey, shardsOfRange } from '../tree.ts';
import { available, type Draft, isOwner, owedSamples, type StepDraft, updateConnection, updateShard } from './draft.ts';
import { DraftShards } from './draft-shards.ts';
import { isProven } from './reputation.ts';
import { chooseSlots, startSlot } from './rotation.ts';
import { coarseShares, type Speed } from './shares.ts';
import type { Connection, ConnectionId, ShardState } from './state.ts';
import { chooseTrials } from './trials.ts';
import { isVerified } from './verified-shards.ts';

function newShard(draft: Draft, step: number, { lo, n }: Shard): ShardState {
  return {
    lo,
    n,
    samples: samplesInShard(draft.setup.plan, step, lo, n),
    owners: [],
    done: false,
    nonFiniteFrom: [],
    verified: isVerified(draft.setup, step, lo),
    votes: [],
    refereed: false,
  };
}

/**
 * Cuts a step, or the asked shard of it, into shards, each owned by one available worker; one shard without an owner where
 * none is available.
 */
export function planStep(draft: Draft, step: number, asked?: Shard): StepDraft {
  const { plan } = draft.setup;
  const whole = asked ?? { lo: 0, n: plan.microbatches };
  const last = whole.lo + whole.n;
  const used = Math.min(last, usedMicrobatches(plan, step));
  const planned: StepDraft = { step, ...(asked && { asked }), shards: new DraftShards() };
  const workers = preferProven(draft, available(draft));
  if (workers.length === 0) {
    planned.shards.set(shardKey(whole), newShard(draft, step, whole));
    return planned;
  }
  const { sharing, slots, shareless } = divide(draft, workers, step, used - whole.lo);
  // Slots of the rotation are the last microbatches of a step, newcomers on trial have those before them.
  const shared = used - slots.length;
  const { newcomers, timed } = chooseTrials(draft, workers, shareless, shared - whole.lo);
  const firstTrial = newcomers.length > 0 ? shared - newcomers.length : last;
  const singles = newcomers.length + slots.length;
  let from = whole.lo;
  for (const { worker, share } of sharing) {
    const to = from + share;
    // The last share runs on over the empty microbatches: fewer, larger shards make fewer gradients to send.
    const end = to === used && to > from && singles === 0 ? last : to;
    for (const shard of shardsOfShare(from, end, firstTrial)) {
      if (shard.lo < used) addShard(draft, planned, shard, worker);
    }
    from = to;
  }
  for (const [index, worker] of newcomers.entries()) assignTrial(draft, planned, worker, firstTrial + index);
  for (const [index, worker] of slots.entries()) {
    addShard(draft, planned, { lo: shared + index, n: 1 }, worker);
    startSlot(draft, worker, step);
  }
  for (const [index, worker] of timed.entries()) sendTrial(draft, planned, worker, whole.lo + index);
  assignVerifiers(draft, planned, workers);
  return planned;
}

interface Division {
  readonly sharing: readonly { readonly worker: Connection; readonly share: number }[];
  /** Each gets one of the microbatches that are left over. */
  readonly slots: readonly Connection[];
  readonly shareless: readonly Connection[];
}

/** Divides so many microbatches of a step among workers, by their speed and in rotation. */
function divide(draft: Draft, workers: readonly Connection[], step: number, used: number): Division {
  let slots: Connection[] = [];
  let sharing = cutAmong(draft, workers, used);
  for (;;) {
    // What slots take may leave a further worker without a share, for which a slot is due as well.
    const chosen = chooseSlots(draft, step, [...slots, ...withoutShare(sharing)], used);
    if (chosen.length <= slots.length) return { sharing, slots, shareless: withoutShare(sharing) };
    slots = chosen;
    const others = workers.filter((worker) => !slots.includes(worker));
    sharing = cutAmong(draft, others, used - slots.length);
  }
}

/** Of what a result takes beside computing: the other half is the way of the weights. */
const gradientPart = 0.5;

function cutAmong({ setup }: Draft, workers: readonly Connection[], microbatches: number): Division['sharing'] {
  if (microbatches === 0) return [];
  const speeds = workers.map(
    ({ samplesPerMs, overheadMs }): Speed => ({
      rate: samplesPerMs / setup.plan.microbatchSize,
      overheadMs: setup.participation === 'all' ? 0 : overheadMs,
      gradientMs: overheadMs * gradientPart,
    }),
  );
  const cut = coarseShares(microbatches, speeds);
  return workers.map((worker, index) => ({ worker, share: cut[index]! }));
}

function withoutShare(sharing: Division['sharing']): Connection[] {
  return sharing.filter(({ share }) => share === 0).map(({ worker }) => worker);
}

function addShard(draft: Draft, planned: StepDraft, shard: Shard, { connection }: Connection): void {
  planned.shards.set(shardKey(shard), newShard(draft, planned.step, shard));
  assign(draft, planned, shard, connection);
}

/** The proven workers, or all where none is proven: at the beginning of a run, or when only newcomers are left. */
export function preferProven(draft: Draft, workers: Connection[]): Connection[] {
  const proven = workers.filter((worker) => isProven(draft, worker));
  return proven.length > 0 ? proven : workers;
}

/** A share as nodes of the tree; the microbatches of trials, which end the step, are nodes of their own. */
function shardsOfShare(from: number, to: number, firstTrial: number): Shard[] {
  const middle = Math.max(from, Math.min(to, firstTrial));
  const trials = Array.from({ length: to - middle }, (_, index) => ({ lo: middle + index, n: 1 }));
  return [...shardsOfRange(from, middle), ...trials];
}

/** Makes a newcomer the second owner of a microbatch of the step. */
function assignTrial(draft: Draft, planned: StepDraft, worker: Connection, microbatch: number): void {
  const shard = planned.shards.get(shardKey({ lo: microbatch, n: 1 }));
  if (!shard) return;
  assign(draft, planned, shard, worker.connection);
  startTrial(draft, planned, worker, microbatch);
}

/** Asks for a microbatch without making the worker its owner. */
function sendTrial(draft: Draft, planned: StepDraft, worker: Connection, microbatch: number): void {
  const { connection } = worker;
  if (planned.step === draft.current.step) sendWeightsOnce(draft, worker);
  draft.effects.push({ type: 'sendTask', connection, step: planned.step, lo: microbatch, n: 1 });
  startTrial(draft, planned, worker, microbatch);
}

function startTrial(draft: Draft, { step }: StepDraft, { connection }: Connection, lo: number): void {
  const samples = samplesInShard(draft.setup.plan, step, lo, 1);
  updateConnection(draft, connection, { trial: { step, lo, n: 1, samples, startedAtMs: draft.nowMs } });
}

/** Gives each verified shard a second owner, where there is another worker. */
function assignVerifiers(draft: Draft, planned: StepDraft, workers: readonly Connection[]): void {
  for (const shard of [...planned.shards.values()].filter(({ verified }) => verified)) {
    const others = workers.filter(({ connection }) => !isOwner(shard, connection));
    const [first, ...rest] = others.map((worker) => [worker, owedSamples(planned, worker.connection)] as const);
    if (!first) continue;
    const [worker] = rest.reduce((least, entry) => (entry[1] < least[1] ? entry : least), first);
    assign(draft, planned, shard, worker.connection);
  }
}

/** Makes a connection one of a shard's owners, and sends it the task. */
export function assign(draft: Draft, step: StepDraft, shard: Shard, connection: ConnectionId): void {
  const before = step.shards.get(shardKey(shard));
  const worker = draft.connections.get(connection);
  if (!before || !worker) return;
  if (owedSamples(step, connection) === 0) updateConnection(draft, connection, { transferCreditMs: 0 });
  if (step.step === draft.current.step) sendWeightsOnce(draft, worker);
  updateShard(step, shard, { owners: [...before.owners, { connection, startedAtMs: draft.nowMs }] });
  draft.effects.push({ type: 'sendTask', connection, step: step.step, lo: shard.lo, n: shard.n });
}

/** Takes a connection off every shard of a step that is not done; returns how many shards that left without an owner. */
export function unassign(step: StepDraft, connection: ConnectionId): number {
  let unowned = 0;
  for (const shard of step.shards.ownedBy(connection)) {
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
  const workers = preferProven(draft, available(draft));
  if (workers.length === 0) return;
  const owed = new Map(workers.map((worker) => [worker.connection, owedSamples(step, worker.connection)]));
  halveForIdle(draft, step, [...owed.values()].filter((samples) => samples === 0).length);
  for (const shard of unownedShards(step).sort((a, b) => b.samples - a.samples || a.lo - b.lo)) {
    const candidates = candidatesFor(draft, shard, [...owed]);
    // Where no other worker can vote, the coordinator computes it.
    if (candidates.length === 0) continue;
    const [connection, samples] = candidates.reduce((least, entry) => (entry[1] < least[1] ? entry : least));
    assign(draft, step, shard, connection);
    owed.set(connection, samples + shard.samples);
  }
}

/** Workers for a shard: never one whose result is held, and another than one that found it non-finite, if there is one. */
function candidatesFor<Entry extends readonly [ConnectionId, number]>(
  draft: Draft,
  { votes, nonFiniteFrom }: ShardState,
  workers: readonly Entry[],
): readonly Entry[] {
  const voters = votes.map(({ workerId }) => workerId);
  const free = workers.filter(([id]) => !voters.includes(draft.connections.get(id)?.workerId ?? ''));
  const others = free.filter(([id]) => !nonFiniteFrom.includes(id));
  return others.length > 0 ? others : free;
}

export function unownedShards(step: StepDraft): ShardState[] {
  const unowned: ShardState[] = [];
  for (const shard of step.shards.values()) {
    if (!shard.done && !shard.refereed && shard.owners.length === 0) unowned.push(shard);
  }
  return unowned;
}

/** Halves the largest unowned shard until there are as many as idle workers, or none is left to halve. */
function halveForIdle(draft: Draft, step: StepDraft, idleWorkers: number): void {
  const used = usedMicrobatches(draft.setup.plan, step.step);
  for (let waiting = unownedShards(step); waiting.length < idleWorkers; waiting = unownedShards(step)) {
    const largest = waiting
      .filter((shard) => shard.n > 1 && shard.votes.length === 0)
      .sort((a, b) => b.samples - a.samples)[0];
    if (!largest) return;
    step.shards.delete(shardKey(largest));
    for (const half of halvesOf(largest)) {
      if (half.lo >= used) continue;
      step.shards.set(shardKey(half), { ...newShard(draft, step.step, half), nonFiniteFrom: largest.nonFiniteFrom });
    }
  }
}
