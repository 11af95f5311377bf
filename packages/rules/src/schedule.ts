/** Divides a step among workers: shares by speed, turns and trials for workers without a share. */
import { assign, assignTimedTrial, newShard, openTrial, trialPauseMs } from './assignments.ts';
import { usedMicrobatches } from './plan.ts';
import { available, type Cut, type RunState, Shards, type StepRun, updateConnection } from './run-state.ts';
import type { Connection, Turn } from './state.ts';
import { powerOfTwoUpTo, type Shard, shardKey, shardsOfRange } from './tree.ts';

/**
 * Cuts a step, or its asked shard, into shards and assigns each to an available proven worker. If there is none,
 * returns one unassigned shard.
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
  const { sharing, turns, shareless } = divide(run, workers, step, used - whole.lo);
  // Turns take the last microbatches of a step; trials of newcomers take the microbatches before them.
  const shared = used - turns.length;
  const { newcomers, timed } = chooseTrials(run, workers, shareless, shared - whole.lo);
  const firstTrial = newcomers.length > 0 ? shared - newcomers.length : last;
  const singles = newcomers.length + turns.length;
  let from = whole.lo;
  for (const { worker, share } of sharing) {
    const to = from + share;
    // The last share extends over the empty microbatches: fewer, larger shards mean fewer gradients to send.
    const end = to === used && to > from && singles === 0 ? last : to;
    for (const shard of shardsOfShare(from, end, firstTrial)) {
      if (shard.lo < used) addShard(run, planned, shard, worker, 'share');
    }
    from = to;
  }
  // A newcomer's microbatch is assigned to a proven worker as well.
  for (const [index, worker] of newcomers.entries()) {
    const shard = planned.shards.get(shardKey({ lo: firstTrial + index, n: 1 }));
    if (shard) assign(run, planned, shard, worker);
  }
  for (const [index, worker] of turns.entries()) {
    addShard(run, planned, { lo: shared + index, n: 1 }, worker, 'turn');
    updateConnection(run, worker.connection, { turn: { step } });
  }
  for (const [index, worker] of timed.entries()) assignTimedTrial(run, planned, worker, whole.lo + index);
  return planned;
}

function addShard(run: RunState, planned: StepRun, place: Shard, worker: Connection, why: 'share' | 'turn'): void {
  const shard = newShard(run, planned.step, place);
  planned.shards.add(shard);
  assign(run, planned, shard, worker, why);
}

/** Splits a share into nodes of the tree; each microbatch from `firstTrial` on is a node by itself. */
function shardsOfShare(from: number, to: number, firstTrial: number): Shard[] {
  const middle = Math.max(from, Math.min(to, firstTrial));
  const trials = Array.from({ length: to - middle }, (_, index) => ({ lo: middle + index, n: 1 }));
  return [...shardsOfRange(from, middle), ...trials];
}

interface Division {
  readonly sharing: readonly { readonly worker: Connection; readonly share: number }[];
  /** Each worker gets one of the remaining microbatches. */
  readonly turns: readonly Connection[];
  readonly shareless: readonly Connection[];
}

/** Divides a step's microbatches among workers, by speed and in turns. */
function divide(run: RunState, workers: readonly Connection[], step: number, used: number): Division {
  let turns: Connection[] = [];
  let sharing = cutAmong(run, workers, used);
  for (;;) {
    // The microbatches that turns take may leave another worker without a share, whose turn is due as well.
    const chosen = chooseTurns(run, step, [...turns, ...withoutShare(sharing)], used);
    if (chosen.length <= turns.length) return { sharing, turns, shareless: withoutShare(sharing) };
    turns = chosen;
    const others = workers.filter((worker) => !turns.includes(worker));
    sharing = cutAmong(run, others, used - turns.length);
  }
}

/** Share of the overhead spent on sending the gradient; the rest goes to receiving weights. */
const gradientPart = 0.5;

function cutAmong(run: RunState, workers: readonly Connection[], microbatches: number): Division['sharing'] {
  if (microbatches === 0) return [];
  const { microbatchSize } = run.setup.plan;
  if (!run.cut || run.cut.microbatches !== microbatches || !isStillGood(run.cut, workers, microbatchSize)) {
    const speeds = workers.map(
      ({ samplesPerMs, overheadMs }): Speed => ({
        rate: samplesPerMs / microbatchSize,
        overheadMs,
        gradientMs: overheadMs * gradientPart,
      }),
    );
    const parts = coarseShares(microbatches, speeds).map((share, place) => {
      const worker = workers[place]!;
      return { connection: worker.connection, share, shareMs: shareMs(worker, share, microbatchSize) };
    });
    run.cut = { microbatches, parts };
  }
  const { parts } = run.cut;
  return workers.map((worker, place) => ({ worker, share: parts[place]!.share }));
}

/** A cut is kept until a share takes this fraction more or less time … */
const sameTime = 0.1;
/** … and as many milliseconds: smaller differences are noise. */
const sameTimeMs = 1;

/** Returns whether a cut was made for these workers, and each share takes about as long as it did then. */
function isStillGood({ parts }: Cut, workers: readonly Connection[], microbatchSize: number): boolean {
  if (parts.length !== workers.length) return false;
  for (const [place, { connection, share, shareMs: beforeMs }] of parts.entries()) {
    const worker = workers[place]!;
    const changeMs = Math.abs(shareMs(worker, share, microbatchSize) - beforeMs);
    if (worker.connection !== connection || !(changeMs <= Math.max(sameTimeMs, sameTime * beforeMs))) return false;
  }
  return true;
}

/** Returns the time of a share; of one microbatch if a worker has none, since it may have become fast enough. */
function shareMs({ samplesPerMs, overheadMs }: Connection, share: number, microbatchSize: number): number {
  return overheadMs + (Math.max(1, share) * microbatchSize) / samplesPerMs;
}

function withoutShare(sharing: Division['sharing']): Connection[] {
  return sharing.filter(({ share }) => share === 0).map(({ worker }) => worker);
}

/** At most one microbatch in this many is a trial. */
const microbatchesPerTrial = 8;

/**
 * Chooses the trials of a step: first newcomers, whose microbatch is part of the step; then workers of `shareless` that
 * are too slow for a share, whose result is only timed.
 */
function chooseTrials(
  run: RunState,
  workers: readonly Connection[],
  shareless: readonly Connection[],
  microbatches: number,
): { readonly newcomers: Connection[]; readonly timed: Connection[] } {
  const all = available(run);
  if (shareless.length === 0 && workers.length === all.length) return { newcomers: [], timed: [] };
  const free = all.filter((worker) => !openTrial(worker));
  const [isFree, isWorker] = [new Set(free), new Set(workers)];
  const most = Math.min(microbatches, Math.max(1, Math.floor(microbatches / microbatchesPerTrial)));
  const newcomers = free.filter((worker) => !isWorker.has(worker)).slice(0, most);
  // If workers outnumber the microbatches, no speed could give each of them a share.
  const tooSlow = microbatches < workers.length ? [] : shareless.filter((worker) => isFree.has(worker));
  const due = tooSlow.filter(({ nextTrialAtMs }) => run.nowMs >= nextTrialAtMs);
  return { newcomers, timed: due.slice(0, most - newcomers.length) };
}

/**
 * Chooses the workers without a share that have their turn in a step, if the run rotates: as many as needed for every
 * due worker to have a turn within the epoch's remaining steps, the longest waiting first.
 */
function chooseTurns(
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

/** Returns whether a worker's turn is due: once an epoch, and again after a pause if the worker was late. */
function isDue(run: RunState, step: number, { newestResult, turn }: Connection): boolean {
  const epoch = epochOf(run, step);
  if (epochOf(run, newestResult) >= epoch) return false;
  return !turn || epochOf(run, turn.step) < epoch || run.nowMs >= (turn.againAtMs ?? Number.POSITIVE_INFINITY);
}

function epochOf({ setup }: RunState, step: number): number {
  return Math.floor(step / setup.plan.stepsPerEpoch);
}

/** Returns a late worker's newest turn, with the time at which it may have another one. */
export function turnAfterDelay(run: RunState, { turn }: Connection, waitedMs: number): Turn | undefined {
  return turn && { ...turn, againAtMs: run.nowMs + trialPauseMs(waitedMs) };
}

/** Speed of a worker. */
export interface Speed {
  /** Microbatches per millisecond of computing; 0 if not measured. */
  readonly rate: number;
  /** Milliseconds that a share takes besides computing, whatever its size. */
  readonly overheadMs: number;
  /** Milliseconds that a gradient takes to the coordinator, part of the overhead; 0 by default. */
  readonly gradientMs?: number;
}

/**
 * Divides `microbatches` into contiguous shares so that all workers finish at the same time. Each share is the
 * difference of two rounded running totals, so that the shares add up. A worker without a measured rate counts as
 * average; a worker whose overhead exceeds the others' total time gets nothing.
 */
export function shares(microbatches: number, speeds: readonly Speed[]): number[] {
  const known = knownSpeeds(speeds);
  const endMs = commonEndMs(microbatches, known);
  const exact = known.map(({ rate, overheadMs }) => Math.max(0, endMs - overheadMs) * rate);
  const total = exact.reduce((sum, share) => sum + share, 0);
  let running = 0;
  let taken = 0;
  return exact.map((share) => {
    running += share;
    const end = Math.round((microbatches * running) / total);
    const rounded = end - taken;
    taken = end;
    return rounded;
  });
}

function knownSpeeds(speeds: readonly Speed[]): Speed[] {
  const measured = speeds.map(({ rate }) => rate).filter((rate) => rate > 0);
  const average = measured.length > 0 ? measured.reduce((sum, rate) => sum + rate, 0) / measured.length : 1;
  return speeds.map((speed) => (speed.rate > 0 ? speed : { ...speed, rate: average }));
}

/** Returns the time at which all microbatches are done if every worker computes until then. */
function commonEndMs(microbatches: number, speeds: readonly Speed[]): number {
  const byOverhead = [...speeds].sort((a, b) => a.overheadMs - b.overheadMs);
  let rates = 0;
  let lost = 0;
  let endMs = Number.POSITIVE_INFINITY;
  for (const { rate, overheadMs } of byOverhead) {
    if (overheadMs >= endMs) break;
    rates += rate;
    lost += rate * overheadMs;
    endMs = (microbatches + lost) / rates;
  }
  return endMs;
}

/** A cut may take 12.5 % longer than the fastest one if that saves messages or includes all workers. */
const slack = 1.125;
/** Overheads may make a cut this much longer: smaller differences are noise if workers share a machine. */
const slackMs = 3;
/** Overhead that excludes a worker: longer than any step. */
const tooLongMs = Number.MAX_VALUE;

/**
 * Divides like `shares`, but, as far as `slack` allows, in large units and by rate alone, among all workers or else
 * among those to which `shares` gives a share. Shares of nearly equal workers thus become equal and align with nodes
 * of the tree. Every shard costs a gradient message, as long as the whole batch's; if these messages take longer than
 * computing, they are part of a share's time, so that units grow with it.
 */
export function coarseShares(microbatches: number, speeds: readonly Speed[]): number[] {
  if (speeds.length === 1) return [microbatches];
  const known = knownSpeeds(speeds);
  const finest = shares(microbatches, known);
  const fastestMs = leastMs(cutsInUnits(microbatches, known), known);
  const isFast = (cut: readonly number[]): boolean =>
    stepMs(cut, known) <= Math.max(slack * fastestMs, fastestMs + slackMs);
  const all = known.map((speed) => ({ ...speed, overheadMs: 0 }));
  const included = all.map((speed, worker) => (finest[worker] === 0 ? { ...speed, overheadMs: tooLongMs } : speed));
  let fastest = finest;
  for (const cutBy of [all, included, known]) {
    const cuts = cutsInUnits(microbatches, cutBy);
    const inFull = cuts.at(-1)!;
    const mostMs = slack * leastMs(cuts, cutBy);
    for (const cut of cuts) {
      const leavesOut = cut.some((share, worker) => share === 0 && inFull[worker]! + finest[worker]! > 0);
      if (leavesOut) continue;
      if (stepMs(cut, cutBy) <= mostMs && isFast(cut)) return cut;
      if (stepMs(cut, known) < stepMs(fastest, known)) fastest = cut;
    }
  }
  return fastest;
}

/** Returns the cuts into shares of whole units, from the largest unit to single microbatches. */
function cutsInUnits(microbatches: number, speeds: readonly Speed[]): number[][] {
  const cuts: number[][] = [];
  for (let unit = powerOfTwoUpTo(microbatches); unit >= 1; unit /= 2) {
    cuts.push(sharesInUnits(microbatches, speeds, unit));
  }
  return cuts;
}

function sharesInUnits(microbatches: number, speeds: readonly Speed[], unit: number): number[] {
  const perUnit = speeds.map(({ rate, overheadMs }) => ({ rate: rate / unit, overheadMs }));
  let left = microbatches;
  return shares(Math.ceil(microbatches / unit), perUnit).map((units) => {
    const share = Math.min(left, units * unit);
    left -= share;
    return share;
  });
}

function leastMs(cuts: readonly (readonly number[])[], speeds: readonly Speed[]): number {
  return Math.min(...cuts.map((cut) => stepMs(cut, speeds)));
}

/** Returns the milliseconds until the last worker has computed its share and sent a gradient for each of its shards. */
function stepMs(cut: readonly number[], speeds: readonly Speed[]): number {
  let from = 0;
  let longestMs = 0;
  for (const [worker, share] of cut.entries()) {
    const to = from + share;
    if (share > 0) {
      const { rate, overheadMs, gradientMs = 0 } = speeds[worker]!;
      const lastMs = gradientMs > 0 ? sentMs(from, to, rate, gradientMs) - gradientMs : share / rate;
      longestMs = Math.max(longestMs, overheadMs + lastMs);
    }
    from = to;
  }
  return longestMs;
}

/** Returns when the last gradient of a share is sent. Each travels while the next shard is computed. */
function sentMs(from: number, to: number, rate: number, gradientMs: number): number {
  let [computedAtMs, sentAtMs] = [0, 0];
  for (const { n } of shardsOfRange(from, to)) {
    computedAtMs += n / rate;
    sentAtMs = Math.max(computedAtMs, sentAtMs) + gradientMs;
  }
  return sentAtMs;
}
