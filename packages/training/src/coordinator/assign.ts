/** Who computes which block: shares of a step by speed, and new owners for the blocks that have lost theirs. */
import { samplesInBlock, usedLeaves } from '../plan.ts';
import { type Block, blockKey, blocksOfRange, halvesOf } from '../tree.ts';
import { available, type Draft, owedSamples, type StepDraft, updateBlock, updateConnection } from './draft.ts';
import { boundedRate } from './rates.ts';
import type { BlockState, Connection, ConnectionId } from './state.ts';

/**
 * Cuts `leaves` among workers in proportion to their speed: whole leaves, contiguous, in order, each share the
 * difference of two rounded running totals, so that they add up to all leaves. Unmeasured workers count as average.
 */
export function shares(leaves: number, samplesPerMs: readonly number[]): number[] {
  const rates = knownRates(samplesPerMs);
  const total = rates.reduce((sum, rate) => sum + rate, 0);
  let running = 0;
  let taken = 0;
  return rates.map((rate) => {
    running += rate;
    const end = Math.round((leaves * running) / total);
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

/** So much longer than it must the slowest share may take, where that saves blocks. */
const slack = 1.125;

/**
 * Like `shares`, but in as large units as cost the step little: shares of nearly equal workers become equal, and end
 * where blocks of the tree end. Each block is a gradient of its own, which is as long as that of the whole batch.
 */
export function coarseShares(leaves: number, samplesPerMs: readonly number[]): number[] {
  const rates = knownRates(samplesPerMs);
  const slowest = (cut: readonly number[]): number => Math.max(...cut.map((share, index) => share / rates[index]!));
  const finest = shares(leaves, rates);
  const leavesNobodyOut = (cut: readonly number[]): boolean => cut.every((share, at) => share > 0 || finest[at] === 0);
  for (let unit = 2 ** Math.floor(Math.log2(leaves)); unit > 1; unit /= 2) {
    let left = leaves;
    const cut = shares(Math.ceil(leaves / unit), rates).map((units) => {
      const share = Math.min(left, units * unit);
      left -= share;
      return share;
    });
    if (leavesNobodyOut(cut) && slowest(cut) <= slack * slowest(finest)) return cut;
  }
  return finest;
}

/**
 * A worker too slow for a single leaf is not measured either, so one bad measurement would leave it out for ever: with
 * each step that it is left out it is taken to be a little faster, until it is tried again.
 */
const leftOutRaise = 1.02;

function newBlock(draft: Draft, step: number, { lo, n }: Block): BlockState {
  return { lo, n, samples: samplesInBlock(draft.setup.plan, step, lo, n), owners: [], done: false, nonFiniteFrom: [] };
}

/** The blocks of a step, each owned by one available worker; all of it unowned in one block where there is none. */
export function planStep(draft: Draft, step: number): StepDraft {
  const { leaves } = draft.setup.plan;
  const used = usedLeaves(draft.setup.plan, step);
  const planned: StepDraft = { step, blocks: new Map() };
  const workers = available(draft);
  if (workers.length === 0) {
    planned.blocks.set(blockKey({ lo: 0, n: leaves }), newBlock(draft, step, { lo: 0, n: leaves }));
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
    // The last share runs on over the empty leaves: fewer, larger blocks make fewer gradients to send.
    for (const block of blocksOfRange(from, to === used && to > from ? leaves : to)) {
      if (block.lo < used) {
        planned.blocks.set(blockKey(block), newBlock(draft, step, block));
        give(draft, planned, block, worker.connection);
      }
    }
    from = to;
  }
  return planned;
}

/** Makes a connection one of a block's owners and sends it what it needs. */
export function give(draft: Draft, step: StepDraft, block: Block, connection: ConnectionId): void {
  const before = step.blocks.get(blockKey(block));
  const worker = draft.connections.get(connection);
  if (!before || !worker) return;
  if (step.step === draft.current.step) ensureWeights(draft, worker);
  updateBlock(step, block, { owners: [...before.owners, { connection, startedAtMs: draft.nowMs }] });
  draft.effects.push({ type: 'sendTask', connection, step: step.step, lo: block.lo, n: block.n });
}

/** Sends the current step's weights to a worker that has not had them. */
export function ensureWeights(draft: Draft, worker: Connection): void {
  if (worker.weightsStep >= draft.current.step) return;
  draft.effects.push({ type: 'sendWeights', connection: worker.connection, step: draft.current.step });
  updateConnection(draft, worker.connection, { weightsStep: draft.current.step });
}

function unowned(step: StepDraft): BlockState[] {
  return [...step.blocks.values()].filter((block) => !block.done && block.owners.length === 0);
}

/**
 * Gives every unowned block of a step to the available worker that owes the fewest samples, the largest block first.
 * While there are more idle workers than unowned blocks, blocks are halved, so that nobody waits for one worker. A
 * block that came back non-finite goes to somebody else if there is anybody else.
 */
export function assignUnowned(draft: Draft, step: StepDraft): void {
  let waiting = unowned(step);
  if (waiting.length === 0) return;
  const workers = available(draft);
  if (workers.length === 0) return;

  const idle = workers.filter((worker) => owedSamples(step, worker.connection) === 0).length;
  while (waiting.length < idle) {
    const used = usedLeaves(draft.setup.plan, step.step);
    const largest = waiting.filter((block) => block.n > 1).sort((a, b) => b.samples - a.samples)[0];
    if (!largest) break;
    step.blocks.delete(blockKey(largest));
    for (const half of halvesOf(largest)) {
      if (half.lo >= used) continue;
      step.blocks.set(blockKey(half), { ...newBlock(draft, step.step, half), nonFiniteFrom: largest.nonFiniteFrom });
    }
    waiting = unowned(step);
  }

  const owed = new Map(workers.map((worker) => [worker.connection, owedSamples(step, worker.connection)]));
  for (const block of waiting.sort((a, b) => b.samples - a.samples || a.lo - b.lo)) {
    const others = [...owed].filter(([connection]) => !block.nonFiniteFrom.includes(connection));
    const candidates = others.length > 0 ? others : [...owed];
    const [connection, samples] = candidates.reduce((least, entry) => (entry[1] < least[1] ? entry : least));
    give(draft, step, block, connection);
    owed.set(connection, samples + block.samples);
  }
}

/** Takes a connection off every block of a step that is not done; returns how many blocks that left without owner. */
export function release(step: StepDraft, connection: ConnectionId): number {
  let orphans = 0;
  for (const block of step.blocks.values()) {
    if (block.done || !block.owners.some((owner) => owner.connection === connection)) continue;
    const owners = block.owners.filter((owner) => owner.connection !== connection);
    updateBlock(step, block, { owners });
    if (owners.length === 0) orphans += 1;
  }
  return orphans;
}
