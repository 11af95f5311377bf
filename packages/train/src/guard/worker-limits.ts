/** How much a worker's socket may send and leave unread. */
import type { BudgetLimits } from './connection-budget.ts';

/** Before its welcome a client sends `hello`, and its socket's own pings. */
export const newcomerLimits: BudgetLimits = {
  messages: { capacity: 8, perSecond: 1 },
  bytes: { capacity: 16 * 1024, perSecond: 1024 },
  answerBytes: 0,
};

/** After it: beside its answers, pings and messages about itself, and answers that were no longer wanted. */
export function memberLimits(maxFrameBytes: number): BudgetLimits {
  return {
    messages: { capacity: 64, perSecond: 16 },
    bytes: { capacity: 8 * maxFrameBytes, perSecond: maxFrameBytes + 64 * 1024 },
    answerBytes: maxFrameBytes,
  };
}

/** Weights and tasks of two steps may wait, and as much again while a worker comes back to reading. */
const maxQueuedSteps = 4;
const extraQueueBytes = 1024 * 1024;

/** @param batchBytes of all samples of a step */
export function maxQueuedBytes(maxFrameBytes: number, batchBytes: number): number {
  return maxQueuedSteps * (maxFrameBytes + batchBytes) + extraQueueBytes;
}
