/** Which worker computes which shard: shares, turns and trials of a step, and new owners for shards that have lost theirs. */
import { samplesInShard, usedMicrobatches } from '../plan.ts';
import { halvesOf, type Shard, shardKey, shardsOfRange } from '../tree.ts';
import type { RunSetup } from './run-setup.ts';
import {
  available,
  owedSamples,
  type RunState,
  Shards,
  type StepRun,
  send,
  updateConnection,
  updateShard,
} from './run-state.ts';
import { coarseShares, type Speed } from './shares.ts';
import type { Connection, ConnectionId, CoordinatorState, ShardState, Slot } from './state.ts';
import { measureLink, speedAfter } from './track-record.ts';

/** Workers cannot know which shards are drawn, since they do not know the salt. */
export function isDrawnForCheck({ verifyRate = 0, verifySalt = 0 }: RunSetup, step: number, lo: number): boolean {
  return draw(verifySalt, step, lo) < verifyRate;
}

/** Uniform in [0, 1). The finalizer of MurmurHash3 (Austin Appleby): every bit of the input changes half of the output's. */
function draw(salt: number, step: number, lo: number): number {
  let hash = (salt ^ Math.imul(step + 1, 0x9e3779b1) ^ Math.imul(lo + 1, 0x85ebca77)) >>> 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}

/** At most one in so many microbatches is a trial. */
const microbatchesPerTrial = 8;

/**
 * Who is on trial in a step of so many microbatches: first workers that are not proven, whose microbatch the step
 * itself contains; then, of the `shareless`, those that are too slow for a share, whose result is only timed.
 */
export function chooseTrials(
  run: RunState,
  workers: readonly Connection[],
  shareless: readonly Connection[],
  microbatches: number,
): { readonly newcomers: Connection[]; readonly timed: Connection[] } {
  const all = available(run);
  if (shareless.length === 0 && workers.length === all.length) return { newcomers: [], timed: [] };
  const free = all.filter((worker) => worker.trial === undefined);
  const [isFree, isWorker] = [new Set(free), new Set(workers)];
  const most = Math.min(microbatches, Math.max(1, Math.floor(microbatches / microbatchesPerTrial)));
  const newcomers = free.filter((worker) => !isWorker.has(worker)).slice(0, most);
  // Where workers outnumber the microbatches, no speed would give each of them a share.
  const tooSlow = microbatches < workers.length ? [] : shareless.filter((worker) => isFree.has(worker));
  const due = tooSlow.filter(({ nextTrialAtMs }) => run.nowMs >= nextTrialAtMs);
  return { newcomers, timed: due.slice(0, most - newcomers.length) };
}

export function isTrial(
  owner: Pick<Connection, 'trial'> | undefined,
  { step, lo, n }: Shard & { readonly step: number },
): boolean {
  return owner?.trial?.step === step && owner.trial.lo === lo && owner.trial.n === n;
}

/** Owners of a shard on trial that have not answered when it is done: its sum is kept, to compare theirs with. */
export function awaitedFrom(
  { connections }: Pick<CoordinatorState, 'connections'>,
  step: number,
  { lo, n, owners }: ShardState,
  except?: ConnectionId,
): ConnectionId[] {
  return owners
    .map(({ connection }) => connection)
    .filter((id) => id !== except && isTrial(connections.get(id), { step, lo, n }));
}

/**
 * Workers that compute a microbatch now to show what they can do, or wait until their result of the step was compared. A
 * microbatch of a later step waits for its weights, and keeps a worker from nothing.
 */
export function onTrial({
  connections,
  current,
}: Pick<CoordinatorState, 'connections' | 'current'>): Set<ConnectionId> {
  const busy = new Set<ConnectionId>();
  for (const { connection, trial } of connections.values()) {
    if (trial !== undefined && trial.step <= current.step) busy.add(connection);
  }
  for (const { done, held } of current.shards.values()) {
    if (!done) for (const { connection } of held) busy.add(connection);
  }
  return busy;
}

/** A worker without a share spends one part of its time in so many on trials … */
const timePerTrial = 4;
/** … and does not wait longer than this for the next one. */
const mostTrialPauseMs = 10_000;

/** How long a worker without a share is left alone after something that took it so long. */
export function trialPauseMs(totalMs: number): number {
  return Math.min(mostTrialPauseMs, (timePerTrial - 1) * totalMs);
}

/** Whether a result is that of a trial, which shows the worker's speed also when other workers were faster. */
export function takeTrial(
  run: RunState,
  connection: Connection,
  message: Shard & { readonly step: number; readonly computeMs: number; readonly turnaroundMs?: number | undefined },
): boolean {
  const { connection: id, trial, link } = connection;
  if (!trial || !isTrial(connection, message)) return false;
  const { samples, startedAtMs } = trial;
  const totalMs = run.nowMs - startedAtMs;
  // What a newcomer claims is not believed: what its link does not explain is the time for its samples.
  const computeMs = connection.isProven
    ? Math.min(message.computeMs, totalMs)
    : Math.max(message.computeMs, totalMs - link.networkMs);
  const before = connection.isProven ? connection : { ...connection, samplesPerMs: 0 };
  updateConnection(run, id, {
    trial: undefined,
    nextTrialAtMs: run.nowMs + trialPauseMs(totalMs),
    ...speedAfter(before, { samples, computeMs, totalMs }),
  });
  measureLink(run, connection, { totalMs, computeMs, turnaroundMs: message.turnaroundMs });
  return true;
}

/**
 * Which workers without a share get one of the microbatches of a step: at its epoch's beginning one in each step, later as many as
 * the steps that are left need; those first that have waited longest.
 */
export function chooseSlots(
  run: RunState,
  step: number,
  shareless: readonly Connection[],
  microbatches: number,
): Connection[] {
  const { participation, plan } = run.setup;
  if (participation !== 'rotation') return [];
  const due = shareless.filter((worker) => isDue(run, step, worker));
  const { stepsPerEpoch } = plan;
  const epochEnd = (epochOf(run, step) + 1) * stepsPerEpoch;
  const stepsLeft = Math.min(epochEnd, plan.steps) - step;
  const most = Math.min(microbatches, Math.ceil(due.length / stepsLeft));
  return due.sort((a, b) => a.newestResult - b.newestResult).slice(0, most);
}

/** A slot is given once in an epoch; a second time where the worker was late with it, after a pause. */
function isDue(run: RunState, step: number, { newestResult, slot }: Connection): boolean {
  const epoch = epochOf(run, step);
  if (epochOf(run, newestResult) >= epoch) return false;
  return !slot || epochOf(run, slot.step) < epoch || run.nowMs >= (slot.againAtMs ?? Number.POSITIVE_INFINITY);
}

function epochOf({ setup }: RunState, step: number): number {
  return Math.floor(step / setup.plan.stepsPerEpoch);
}

export function startSlot(run: RunState, { connection }: Connection, step: number): void {
  updateConnection(run, connection, { slot: { step } });
}

/** What a worker's slot is once it was late with something for so long. */
export function slotAfterDelay(run: RunState, { slot }: Connection, waitedMs: number): Slot | undefined {
  return slot && { ...slot, againAtMs: run.nowMs + trialPauseMs(waitedMs) };
}

/** Whether a step waits for what a worker computes in its slot, as long as that takes it. */
export function isInSlot({ slot }: Connection, step: number): boolean {
  return slot?.step === step;
}

/**
 * Cancels a shard of the current step with its owners, but for the one whose result counts. Not with a late one, nor with
 * one on trial: the answer shows that the worker is there, and its absence that it is not.
 */
export function cancelOwners(run: RunState, { lo, n, owners }: ShardState, winner?: ConnectionId): void {
  const { step } = run.current;
  for (const { connection } of owners) {
    const owner = run.connections.get(connection);
    if (connection === winner || owner?.answerByMs !== undefined || isTrial(owner, { step, lo, n })) continue;
    send(run, connection, { type: 'cancel', step, lo, n });
  }
}

function newShard(run: RunState, step: number, { lo, n }: Shard): ShardState {
  return {
    lo,
    n,
    samples: samplesInShard(run.setup.plan, step, lo, n),
    owners: [],
    done: false,
    nonFiniteFrom: [],
    policy: isDrawnForCheck(run.setup, step, lo) ? 'referee' : 'first',
    held: [],
    refereed: false,
    isChecked: false,
  };
}

/**
 * Cuts a step, or the asked shard of it, into shards, each owned by one available proven worker; one shard without an owner
 * if there is none.
 */
export function planStep(run: RunState, step: number, asked?: Shard): StepRun {
  const { plan } = run.setup;
  const whole = asked ?? { lo: 0, n: plan.microbatches };
  const last = whole.lo + whole.n;
  const used = Math.min(last, usedMicrobatches(plan, step));
  const planned: StepRun = { step, ...(asked && { asked }), shards: new Shards() };
  const workers = available(run).filter(({ isProven }) => isProven);
  if (workers.length === 0) {
    planned.shards.add(newShard(run, step, whole));
    return planned;
  }
  const { sharing, slots, shareless } = divide(run, workers, step, used - whole.lo);
  // Slots of the rotation are the last microbatches of a step, newcomers on trial have those before them.
  const shared = used - slots.length;
  const { newcomers, timed } = chooseTrials(run, workers, shareless, shared - whole.lo);
  const firstTrial = newcomers.length > 0 ? shared - newcomers.length : last;
  const singles = newcomers.length + slots.length;
  let from = whole.lo;
  for (const { worker, share } of sharing) {
    const to = from + share;
    // The last share runs on over the empty microbatches: fewer, larger shards make fewer gradients to send.
    const end = to === used && to > from && singles === 0 ? last : to;
    for (const shard of shardsOfShare(from, end, firstTrial)) {
      if (shard.lo < used) addShard(run, planned, shard, worker);
    }
    from = to;
  }
  for (const [index, worker] of newcomers.entries()) assignTrial(run, planned, worker, firstTrial + index);
  for (const [index, worker] of slots.entries()) {
    addShard(run, planned, { lo: shared + index, n: 1 }, worker);
    startSlot(run, worker, step);
  }
  for (const [index, worker] of timed.entries()) sendTrial(run, planned, worker, whole.lo + index);
  return planned;
}

interface Division {
  readonly sharing: readonly { readonly worker: Connection; readonly share: number }[];
  /** Each gets one of the microbatches that are left over. */
  readonly slots: readonly Connection[];
  readonly shareless: readonly Connection[];
}

/** Divides so many microbatches of a step among workers, by their speed and in rotation. */
function divide(run: RunState, workers: readonly Connection[], step: number, used: number): Division {
  let slots: Connection[] = [];
  let sharing = cutAmong(run, workers, used);
  for (;;) {
    // What slots take may leave a further worker without a share, for which a slot is due as well.
    const chosen = chooseSlots(run, step, [...slots, ...withoutShare(sharing)], used);
    if (chosen.length <= slots.length) return { sharing, slots, shareless: withoutShare(sharing) };
    slots = chosen;
    const others = workers.filter((worker) => !slots.includes(worker));
    sharing = cutAmong(run, others, used - slots.length);
  }
}

/** Of what a result takes beside computing: the other half is the way of the weights. */
const gradientPart = 0.5;

function cutAmong({ setup }: RunState, workers: readonly Connection[], microbatches: number): Division['sharing'] {
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

function addShard(run: RunState, planned: StepRun, shard: Shard, { connection }: Connection): void {
  planned.shards.add(newShard(run, planned.step, shard));
  assign(run, planned, shard, connection);
}

/** A share as nodes of the tree; the microbatches of trials, which end the step, are nodes of their own. */
function shardsOfShare(from: number, to: number, firstTrial: number): Shard[] {
  const middle = Math.max(from, Math.min(to, firstTrial));
  const trials = Array.from({ length: to - middle }, (_, index) => ({ lo: middle + index, n: 1 }));
  return [...shardsOfRange(from, middle), ...trials];
}

/** Makes a newcomer the second owner of a microbatch of the step. */
function assignTrial(run: RunState, planned: StepRun, worker: Connection, microbatch: number): void {
  const shard = planned.shards.get(shardKey({ lo: microbatch, n: 1 }));
  if (!shard) return;
  assign(run, planned, shard, worker.connection);
}

/** Asks for a microbatch without making the worker its owner. */
function sendTrial(run: RunState, planned: StepRun, worker: Connection, microbatch: number): void {
  const { connection } = worker;
  if (planned.step === run.current.step) sendWeightsOnce(run, worker);
  run.commands.push({ type: 'sendTask', connection, step: planned.step, lo: microbatch, n: 1 });
  startTrial(run, planned, worker, { lo: microbatch, n: 1 });
}

function startTrial(run: RunState, { step }: StepRun, { connection }: Connection, { lo, n }: Shard): void {
  const samples = samplesInShard(run.setup.plan, step, lo, n);
  updateConnection(run, connection, { trial: { step, lo, n, samples, startedAtMs: run.nowMs } });
}

/** Makes a connection one of a shard's owners, and sends it the task; whoever is not proven is on trial with it. */
export function assign(run: RunState, step: StepRun, shard: Shard, connection: ConnectionId): void {
  const before = step.shards.get(shardKey(shard));
  const worker = run.connections.get(connection);
  if (!before || !worker) return;
  if (owedSamples(step, connection) === 0) updateConnection(run, connection, { transferCreditMs: 0 });
  if (step.step === run.current.step) sendWeightsOnce(run, worker);
  updateShard(step, shard, { owners: [...before.owners, { connection, startedAtMs: run.nowMs }] });
  run.commands.push({ type: 'sendTask', connection, step: step.step, lo: shard.lo, n: shard.n });
  if (!worker.isProven) startTrial(run, step, worker, shard);
}

/** Takes a connection off every shard of a step that is not done; returns how many shards that left without an owner. */
export function unassign(step: StepRun, connection: ConnectionId): number {
  let unowned = 0;
  for (const shard of step.shards.ownedBy(connection)) {
    const owners = shard.owners.filter((owner) => owner.connection !== connection);
    updateShard(step, shard, { owners });
    if (owners.length === 0) unowned += 1;
  }
  return unowned;
}

/** Sends the current step's weights to a worker that has not had them. */
export function sendWeightsOnce(run: RunState, worker: Connection): void {
  const { step } = run.current;
  if (worker.weightsStep >= step) return;
  run.commands.push({ type: 'sendWeights', connection: worker.connection, step });
  updateConnection(run, worker.connection, { weightsStep: step });
}

/**
 * Has every shard of a step computed by a proven worker, as far as there are any: one that owes few samples, the largest
 * shard first. Where most workers are still to be proven, as at the beginning of a run, newcomers get single microbatches
 * and proven workers a part at a time, so that each newcomer whose result is confirmed takes parts as well.
 */
export function assignUnowned(run: RunState, step: StepRun): void {
  const workers = available(run);
  if (workers.length === 0) return;
  const proven = workers.filter(({ isProven }) => isProven);
  const newcomers = workers.filter(({ isProven }) => !isProven);
  if (newcomers.length < Math.max(1, proven.length)) assignAmong(run, step, proven);
  // Only the results of the current step prove a worker.
  else if (step.step === run.current.step) assignByParts(run, step, proven, newcomers);
}

function assignAmong(run: RunState, step: StepRun, workers: readonly Connection[]): void {
  const owed = new Map(workers.map((worker) => [worker.connection, owedSamples(step, worker.connection)]));
  halveForIdle(run, step, [...owed.values()].filter((samples) => samples === 0).length);
  for (const shard of openShards(run, step).sort((a, b) => b.samples - a.samples || a.lo - b.lo)) {
    const candidates = candidatesFor(run, shard, [...owed]);
    // Where no other worker can vote, the coordinator computes it.
    if (candidates.length === 0) continue;
    const [connection, samples] = candidates.reduce((least, entry) => (entry[1] < least[1] ? entry : least));
    assign(run, step, shard, connection);
    owed.set(connection, samples + shard.samples);
  }
}

function assignByParts(
  run: RunState,
  step: StepRun,
  proven: readonly Connection[],
  newcomers: readonly Connection[],
): void {
  const idle = proven.filter(({ connection }) => owedSamples(step, connection) === 0);
  const busy = onTrial(run);
  const free = newcomers.filter(({ connection }) => !busy.has(connection));
  if (idle.length + free.length === 0) return;
  halveForIdle(run, step, proven.length + newcomers.length);
  // Held results first, since each makes another worker proven; last what newcomers may still answer.
  const rank = ({ held, owners }: ShardState): number => (held.length > 0 ? 0 : owners.length === 0 ? 1 : 2);
  const open = openShards(run, step).sort((a, b) => rank(a) - rank(b) || b.samples - a.samples || a.lo - b.lo);
  for (const { connection } of idle) {
    const place = open.findIndex((shard) => candidatesFor(run, shard, [[connection, 0]]).length > 0);
    if (place >= 0) assign(run, step, open.splice(place, 1)[0]!, connection);
  }
  for (const { connection } of free) {
    const [largest] = waitingShards(step)
      .filter(({ held }) => held.length === 0)
      .sort((a, b) => b.samples - a.samples || a.lo - b.lo);
    if (!largest) return;
    assign(run, step, firstMicrobatch(run, step, largest), connection);
  }
}

/** Workers for a shard: none that owes it or whose result is held, and another than one that found it non-finite, if there is one. */
function candidatesFor<Entry extends readonly [ConnectionId, number]>(
  run: RunState,
  { owners, held, nonFiniteFrom }: ShardState,
  workers: readonly Entry[],
): readonly Entry[] {
  const voters = held.map(({ workerId }) => workerId);
  const free = workers.filter(
    ([id]) =>
      !owners.some(({ connection }) => connection === id) && !voters.includes(run.connections.get(id)?.workerId ?? ''),
  );
  const others = free.filter(([id]) => !nonFiniteFrom.includes(id));
  return others.length > 0 ? others : free;
}

/** Shards of a step that are neither done nor owed by a proven worker, nor computed by the coordinator. */
export function openShards({ connections }: RunState, { shards }: StepRun): ShardState[] {
  const open: ShardState[] = [];
  for (const shard of shards.values()) {
    const { done, refereed, owners } = shard;
    if (!done && !refereed && !owners.some(({ connection }) => connections.get(connection)?.isProven)) open.push(shard);
  }
  return open;
}

/** Shards that nobody owes. */
function waitingShards({ shards }: StepRun): ShardState[] {
  const waiting: ShardState[] = [];
  for (const shard of shards.values()) {
    if (!shard.done && !shard.refereed && shard.owners.length === 0) waiting.push(shard);
  }
  return waiting;
}

/** Whether any worker has been given a part of a step. */
export function isAnyOwned({ shards }: StepRun): boolean {
  for (const { done, owners } of shards.values()) if (done || owners.length > 0) return true;
  return false;
}

/** Halves the largest shard that nobody owes until there are as many as workers, or none is left to halve. */
function halveForIdle(run: RunState, step: StepRun, idleWorkers: number): void {
  for (let waiting = waitingShards(step); waiting.length < idleWorkers; waiting = waitingShards(step)) {
    const largest = waiting
      .filter((shard) => shard.n > 1 && shard.held.length === 0)
      .sort((a, b) => b.samples - a.samples)[0];
    if (!largest) return;
    halve(run, step, largest);
  }
}

/** Puts the halves of a shard in its place. @returns the first */
function halve(run: RunState, step: StepRun, shard: ShardState): ShardState {
  const used = usedMicrobatches(run.setup.plan, step.step);
  step.shards.remove(shard);
  const [first, ...rest] = halvesOf(shard)
    .filter(({ lo }) => lo < used)
    .map((half) => ({ ...newShard(run, step.step, half), nonFiniteFrom: shard.nonFiniteFrom }));
  for (const half of [first!, ...rest]) step.shards.add(half);
  return first!;
}

/** Cuts a shard until its first microbatch is one by itself. */
function firstMicrobatch(run: RunState, step: StepRun, shard: ShardState): ShardState {
  let first = shard;
  while (first.n > 1) first = halve(run, step, first);
  return first;
}
