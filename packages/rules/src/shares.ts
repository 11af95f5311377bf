/** Divides a step's microbatches among workers by speed. */
import { powerOfTwoUpTo, shardsOfRange } from './tree.ts';

/** Speed of a worker. */
export interface Speed {
  /** Microbatches per millisecond of computing; 0 if not measured. */
  readonly rate: number;
  /** Milliseconds that a share takes besides computing, whatever its size. */
  readonly overheadMs: number;
  /** Milliseconds that each gradient of a share takes beyond the first; 0 by default. */
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
 * of the tree. Every shard costs a gradient message, as long as the whole batch's; the time of these messages is part
 * of a share's time, so that units grow with it.
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
      const furtherMs = gradientMs > 0 ? gradientMs * (shardsOfRange(from, to).length - 1) : 0;
      longestMs = Math.max(longestMs, overheadMs + share / rate + furtherMs);
    }
    from = to;
  }
  return longestMs;
}
