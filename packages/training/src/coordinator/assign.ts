/** Who computes which shard: shares of a step by speed, and new owners for the shards that have lost theirs. */
import { samplesInShard, usedMicrobatches } from '../plan.ts';
import { halvesOf, type Shard, shardKey, shardsOfRange } from '../tree.ts';
import { available, type Draft, owedSamples, type StepDraft, updateConnection, updateShard } from './draft.ts';
import { boundedRate } from './rates.ts';
import type { Connection, ConnectionId, ShardState } from './state.ts';

/**
 * Cuts `microbatches` among workers in proportion to their speed: whole microbatches, contiguous, in order, each share the
 * difference of two rounded running totals, so that they add up to all microbatches. Unmeasured workers count as average.
 */
export function shares(microbatches: number, samplesPerMs: readonly number[]): number[] {
  const rates = knownRates(samplesPerMs);
  const total = rates.reduce((sum, rate) => sum + rate, 0);
  let running = 0;
  let taken = 0;
  return rates.map((rate) => {
    running += rate;
    const end = Math.round((microbatches * running) / total);
    const share = end - taken;
    taken = end;
    return share;
  });
}

function knownRates(samplesPerMs: readonly number[]): number[] {
  const measured = samplesPerMs.filter((rate) => rate > 0);
  const average = measured.length > 0 ? measured.reduce((sum, rate) => sum + rate, 0) / measured.length : 1;
  return samplesPerMs.map((rate) => (rate > 0 ? rate : average));
}

/** So much longer than it must the slowest share may take, where that saves shards. */
const slack = 1.125;

/**
 * Like `shares`, but in as large units as cost the step little: shares of nearly equal workers become equal, and end
 * where shards of the tree end. Each shard is a gradient of its own, which is as long as that of the whole batch.
 */
export function coarseShares(microbatches: number, samplesPerMs: readonly number[]): number[] {
  const rates = knownRates(samplesPerMs);
  const slowest = (cut: readonly number[]): number => Math.max(...cut.map((share, index) => share / rates[index]!));
  const finest = shares(microbatches, rates);
  const leavesNoWorkerOut = (cut: readonly number[]): boolean =>
    cut.every((share, at) => share > 0 || finest[at] === 0);
  for (let unit = 2 ** Math.floor(Math.log2(microbatches)); unit > 1; unit /= 2) {
    let left = microbatches;
    const cut = shares(Math.ceil(microbatches / unit), rates).map((units) => {
      const share = Math.min(left, units * unit);
      left -= share;
      return share;
    });
    if (leavesNoWorkerOut(cut) && slowest(cut) <= slack * slowest(finest)) return cut;
  }
  return finest;
}

/**
 * A worker too slow for a single microbatch is not measured either, so one bad measurement would leave it out for ever: with
 * each step that it is left out it is taken to be a little faster, until it is tried again.
 */
const leftOutRaise = 1.02;

function newShard(draft: Draft, step: number, { lo, n }: Shard): ShardState {
  return { lo, n, samples: samplesInShard(draft.setup.plan, step, lo, n), owners: [], done: false, nonFiniteFrom: [] };
}

/** The shards of a step, each owned by one available worker; all of it unowned in one shard where there is none. */
export function planStep(draft: Draft, step: number): StepDraft {
  const { microbatches } = draft.setup.plan;
  const used = usedMicrobatches(draft.setup.plan, step);
  const planned: StepDraft = { step, shards: new Map() };
  const workers = available(draft);
  if (workers.length === 0) {
    planned.shards.set(shardKey({ lo: 0, n: microbatches }), newShard(draft, step, { lo: 0, n: microbatches }));
    return planned;
  }
  const cut = coarseShares(
    used,
    workers.map((worker) => worker.samplesPerMs),
  );
  let from = 0;
  for (const [index, worker] of workers.entries()) {
    const to = from + (cut[index] ?? 0);
    if (to === from && used >= workers.length) {
      updateConnection(draft, worker.connection, { samplesPerMs: boundedRate(worker.samplesPerMs * leftOutRaise) });
    }
    // The last share runs on over the empty microbatches: fewer, larger shards make fewer gradients to send.
    for (const shard of shardsOfRange(from, to === used && to > from ? microbatches : to)) {
      if (shard.lo < used) {
        planned.shards.set(shardKey(shard), newShard(draft, step, shard));
        assign(draft, planned, shard, worker.connection);
      }
    }
    from = to;
  }
  return planned;
}

/** Makes a connection one of a shard's owners and sends it what it needs. */
export function assign(draft: Draft, step: StepDraft, shard: Shard, connection: ConnectionId): void {
  const before = step.shards.get(shardKey(shard));
  const worker = draft.connections.get(connection);
  if (!before || !worker) return;
  if (step.step === draft.current.step) ensureWeights(draft, worker);
  updateShard(step, shard, { owners: [...before.owners, { connection, startedAtMs: draft.nowMs }] });
  draft.effects.push({ type: 'sendTask', connection, step: step.step, lo: shard.lo, n: shard.n });
}

/** Sends the current step's weights to a worker that has not had them. */
export function ensureWeights(draft: Draft, worker: Connection): void {
  if (worker.weightsStep >= draft.current.step) return;
  draft.effects.push({ type: 'sendWeights', connection: worker.connection, step: draft.current.step });
  updateConnection(draft, worker.connection, { weightsStep: draft.current.step });
}

function unowned(step: StepDraft): ShardState[] {
  return [...step.shards.values()].filter((shard) => !shard.done && shard.owners.length === 0);
}

/**
 * Gives every unowned shard of a step to the available worker that owes the fewest samples, the largest shard first.
 * While there are more idle workers than unowned shards, shards are halved, so that nobody waits for one worker. A
 * shard that came back non-finite goes to somebody else if there is anybody else.
 */
export function assignUnowned(draft: Draft, step: StepDraft): void {
  let waiting = unowned(step);
  if (waiting.length === 0) return;
  const workers = available(draft);
  if (workers.length === 0) return;

  const idle = workers.filter((worker) => owedSamples(step, worker.connection) === 0).length;
  while (waiting.length < idle) {
    const used = usedMicrobatches(draft.setup.plan, step.step);
    const largest = waiting.filter((shard) => shard.n > 1).sort((a, b) => b.samples - a.samples)[0];
    if (!largest) break;
    step.shards.delete(shardKey(largest));
    for (const half of halvesOf(largest)) {
      if (half.lo >= used) continue;
      step.shards.set(shardKey(half), { ...newShard(draft, step.step, half), nonFiniteFrom: largest.nonFiniteFrom });
    }
    waiting = unowned(step);
  }

  const owed = new Map(workers.map((worker) => [worker.connection, owedSamples(step, worker.connection)]));
  for (const shard of waiting.sort((a, b) => b.samples - a.samples || a.lo - b.lo)) {
    const others = [...owed].filter(([connection]) => !shard.nonFiniteFrom.includes(connection));
    const candidates = others.length > 0 ? others : [...owed];
    const [connection, samples] = candidates.reduce((least, entry) => (entry[1] < least[1] ? entry : least));
    assign(draft, step, shard, connection);
    owed.set(connection, samples + shard.samples);
  }
}

/** Takes a connection off every shard of a step that is not done; returns how many shards that left without owner. */
export function unassign(step: StepDraft, connection: ConnectionId): number {
  let orphans = 0;
  for (const shard of step.shards.values()) {
    if (shard.done || !shard.owners.some((owner) => owner.connection === connection)) continue;
    const owners = shard.owners.filter((owner) => owner.connection !== connection);
    updateShard(step, shard, { owners });
    if (owners.length === 0) orphans += 1;
  }
  return orphans;
}
