/** The rotation of a run in which all take part: each worker without a share gets a slot, a microbatch, at least once an epoch. */
import { type Draft, updateConnection } from './draft.ts';
import type { Connection, Slot } from './state.ts';
import { trialPauseMs } from './trials.ts';

/**
 * Which workers without a share get one of the microbatches of a step: at its epoch's beginning one in each step, later as many as
 * the steps that are left need; those first that have waited longest.
 */
export function chooseSlots(
  draft: Draft,
  step: number,
  shareless: readonly Connection[],
  microbatches: number,
): Connection[] {
  const { participation, plan } = draft.setup;
  if (participation !== 'rotation') return [];
  const due = shareless.filter((worker) => isDue(draft, step, worker));
  const { stepsPerEpoch } = plan;
  const epochEnd = (epochOf(draft, step) + 1) * stepsPerEpoch;
  const stepsLeft = Math.min(epochEnd, plan.steps) - step;
  const most = Math.min(microbatches, Math.ceil(due.length / stepsLeft));
  return due.sort((a, b) => a.newestResult - b.newestResult).slice(0, most);
}

/** A slot is given once in an epoch; a second time where the worker was late with it, after a pause. */
function isDue(draft: Draft, step: number, { newestResult, slot }: Connection): boolean {
  const epoch = epochOf(draft, step);
  if (epochOf(draft, newestResult) >= epoch) return false;
  return !slot || epochOf(draft, slot.step) < epoch || draft.nowMs >= (slot.againAtMs ?? Number.POSITIVE_INFINITY);
}

function epochOf({ setup }: Draft, step: number): number {
  return Math.floor(step / setup.plan.stepsPerEpoch);
}

export function startSlot(draft: Draft, { connection }: Connection, step: number): void {
  updateConnection(draft, connection, { slot: { step } });
}

/** What a worker's slot is once it was late with something for so long. */
export function slotAfterDelay(draft: Draft, { slot }: Connection, waitedMs: number): Slot | undefined {
  return slot && { ...slot, againAtMs: draft.nowMs + trialPauseMs(waitedMs) };
}

/** Whether a step waits for what a worker computes in its slot, as long as that takes it. */
export function isInSlot({ slot }: Connection, step: number): boolean {
  return slot?.step === step;
}
