/** Which worker computes which shard: the shares of a step, and new owners for shards that have lost theirs. */
import { samplesInShard, usedMicrobatches } from '../plan.ts';
import { halvesOf, type Shard, shardKey, shardsOfRange } from '../tree.ts';
import { isDrawnForCheck } from './checked-shards.ts';
import { available, type Draft, owedSamples, type StepDraft, updateConnection, updateShard } from './draft.ts';
import { DraftShards } from './draft-shards.ts';
import { chooseSlots, startSlot } from './rotation.ts';
import { coarseShares, type Speed } from './shares.ts';
import type { Connection, ConnectionId, ShardState } from './state.ts';
import { chooseTrials, onTrial } from './trials.ts';

function newShard(draft: Draft, step: number, { lo, n }: Shard): ShardState {
  return {
    lo,
    n,
    samples: samplesInShard(draft.setup.plan, step, lo, n),
    owners: [],
    done: false,
    nonFiniteFrom: [],
    policy: isDrawnForCheck(draft.setup, step, lo) ? 'referee' : 'first',
    votes: [],
    refereed: false,
    isChecked: false,
  };
}

/**
 * Cuts a step, or the asked shard of it, into shards, each owned by one available proven worker; one shard without an owner
 * if there is none.
 */
export function planStep(draft: Draft, step: number, asked?: Shard): StepDraft {
  const { plan } = draft.setup;
  const whole = asked ?? { lo: 0, n: plan.microbatches };
  const last = whole.lo + whole.n;
  const used = Math.min(last, usedMicrobatches(plan, step));
  const planned: StepDraft = { step, ...(asked && { asked }), shards: new DraftShards() };
  const workers = available(draft).filter(({ isProven }) => isProven);
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
      overheadMs,
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
}

/** Asks for a microbatch without making the worker its owner. */
function sendTrial(draft: Draft, planned: StepDraft, worker: Connection, microbatch: number): void {
  const { connection } = worker;
  if (planned.step === draft.current.step) sendWeightsOnce(draft, worker);
  draft.effects.push({ type: 'sendTask', connection, step: planned.step, lo: microbatch, n: 1 });
  startTrial(draft, planned, worker, { lo: microbatch, n: 1 });
}

function startTrial(draft: Draft, { step }: StepDraft, { connection }: Connection, { lo, n }: Shard): void {
  const samples = samplesInShard(draft.setup.plan, step, lo, n);
  updateConnection(draft, connection, { trial: { step, lo, n, samples, startedAtMs: draft.nowMs } });
}

/** Makes a connection one of a shard's owners, and sends it the task; whoever is not proven is on trial with it. */
export function assign(draft: Draft, step: StepDraft, shard: Shard, connection: ConnectionId): void {
  const before = step.shards.get(shardKey(shard));
  const worker = draft.connections.get(connection);
  if (!before || !worker) return;
  if (owedSamples(step, connection) === 0) updateConnection(draft, connection, { transferCreditMs: 0 });
  if (step.step === draft.current.step) sendWeightsOnce(draft, worker);
  updateShard(step, shard, { owners: [...before.owners, { connection, startedAtMs: draft.nowMs }] });
  draft.effects.push({ type: 'sendTask', connection, step: step.step, lo: shard.lo, n: shard.n });
  if (!worker.isProven) startTrial(draft, step, worker, shard);
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
 * Has every shard of a step computed by a proven worker, as far as there are any: one that owes few samples, the largest
 * shard first. Where most workers are still to be proven, as at the beginning of a run, newcomers get single microbatches
 * and proven workers a part at a time, so that each newcomer whose result is confirmed takes parts as well.
 */
export function assignUnowned(draft: Draft, step: StepDraft): void {
  const workers = available(draft);
  if (workers.length === 0) return;
  const proven = workers.filter(({ isProven }) => isProven);
  const newcomers = workers.filter(({ isProven }) => !isProven);
  if (newcomers.length < Math.max(1, proven.length)) assignAmong(draft, step, proven);
  // Only the results of the current step prove a worker.
  else if (step.step === draft.current.step) assignByParts(draft, step, proven, newcomers);
}

function assignAmong(draft: Draft, step: StepDraft, workers: readonly Connection[]): void {
  const owed = new Map(workers.map((worker) => [worker.connection, owedSamples(step, worker.connection)]));
  halveForIdle(draft, step, [...owed.values()].filter((samples) => samples === 0).length);
  for (const shard of openShards(draft, step).sort((a, b) => b.samples - a.samples || a.lo - b.lo)) {
    const candidates = candidatesFor(draft, shard, [...owed]);
    // Where no other worker can vote, the coordinator computes it.
    if (candidates.length === 0) continue;
    const [connection, samples] = candidates.reduce((least, entry) => (entry[1] < least[1] ? entry : least));
    assign(draft, step, shard, connection);
    owed.set(connection, samples + shard.samples);
  }
}

function assignByParts(
  draft: Draft,
  step: StepDraft,
  proven: readonly Connection[],
  newcomers: readonly Connection[],
): void {
  const idle = proven.filter(({ connection }) => owedSamples(step, connection) === 0);
  const busy = onTrial(draft);
  const free = newcomers.filter(({ connection }) => !busy.has(connection));
  if (idle.length + free.length === 0) return;
  halveForIdle(draft, step, proven.length + newcomers.length);
  // Held results first, since each makes another worker proven; last what newcomers may still answer.
  const rank = ({ votes, owners }: ShardState): number => (votes.length > 0 ? 0 : owners.length === 0 ? 1 : 2);
  const open = openShards(draft, step).sort((a, b) => rank(a) - rank(b) || b.samples - a.samples || a.lo - b.lo);
  for (const { connection } of idle) {
    const place = open.findIndex((shard) => candidatesFor(draft, shard, [[connection, 0]]).length > 0);
    if (place >= 0) assign(draft, step, open.splice(place, 1)[0]!, connection);
  }
  for (const { connection } of free) {
    const [largest] = waitingShards(step)
      .filter(({ votes }) => votes.length === 0)
      .sort((a, b) => b.samples - a.samples || a.lo - b.lo);
    if (!largest) return;
    assign(draft, step, firstMicrobatch(draft, step, largest), connection);
  }
}

/** Workers for a shard: none that owes it or whose result is held, and another than one that found it non-finite, if there is one. */
function candidatesFor<Entry extends readonly [ConnectionId, number]>(
  draft: Draft,
  { owners, votes, nonFiniteFrom }: ShardState,
  workers: readonly Entry[],
): readonly Entry[] {
  const voters = votes.map(({ workerId }) => workerId);
  const free = workers.filter(
    ([id]) =>
      !owners.some(({ connection }) => connection === id) &&
      !voters.includes(draft.connections.get(id)?.workerId ?? ''),
  );
  const others = free.filter(([id]) => !nonFiniteFrom.includes(id));
  return others.length > 0 ? others : free;
}

/** Shards of a step that are neither done nor owed by a proven worker, nor computed by the coordinator. */
export function openShards({ connections }: Draft, { shards }: StepDraft): ShardState[] {
  const open: ShardState[] = [];
  for (const shard of shards.values()) {
    const { done, refereed, owners } = shard;
    if (!done && !refereed && !owners.some(({ connection }) => connections.get(connection)?.isProven)) open.push(shard);
  }
  return open;
}

/** Shards that nobody owes. */
function waitingShards({ shards }: StepDraft): ShardState[] {
  const waiting: ShardState[] = [];
  for (const shard of shards.values()) {
    if (!shard.done && !shard.refereed && shard.owners.length === 0) waiting.push(shard);
  }
  return waiting;
}

/** Whether any worker has been given a part of a step. */
export function isAnyOwned({ shards }: StepDraft): boolean {
  for (const { done, owners } of shards.values()) if (done || owners.length > 0) return true;
  return false;
}

/** Halves the largest shard that nobody owes until there are as many as workers, or none is left to halve. */
function halveForIdle(draft: Draft, step: StepDraft, idleWorkers: number): void {
  for (let waiting = waitingShards(step); waiting.length < idleWorkers; waiting = waitingShards(step)) {
    const largest = waiting
      .filter((shard) => shard.n > 1 && shard.votes.length === 0)
      .sort((a, b) => b.samples - a.samples)[0];
    if (!largest) return;
    halve(draft, step, largest);
  }
}

/** Puts the halves of a shard in its place. @returns the first */
function halve(draft: Draft, step: StepDraft, shard: ShardState): ShardState {
  const used = usedMicrobatches(draft.setup.plan, step.step);
  step.shards.delete(shardKey(shard));
  const [first, ...rest] = halvesOf(shard)
    .filter(({ lo }) => lo < used)
    .map((half) => ({ ...newShard(draft, step.step, half), nonFiniteFrom: shard.nonFiniteFrom }));
  for (const half of [first!, ...rest]) step.shards.set(shardKey(half), half);
  return first!;
}

/** Cuts a shard until its first microbatch is one by itself. */
function firstMicrobatch(draft: Draft, step: StepDraft, shard: ShardState): ShardState {
  let first = shard;
  while (first.n > 1) first = halve(draft, step, first);
  return first;
}
