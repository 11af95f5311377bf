/** How much a worker's socket may send and leave unread. */
import type { AnswerSize, BudgetLimits } from './connection-budget.ts';

/** Before its welcome a client sends `hello`, and its socket's own pings. */
export const newcomerLimits: BudgetLimits = {
  messages: { capacity: 8, perSecond: 1 },
  bytes: { capacity: 16 * 1024, perSecond: 1024 },
  answer: { messages: 1, bytes: 0 },
};

/** Bytes of an answer beside the numbers of its vector, and of each of its chunks. */
const answerOverheadBytes = 64 * 1024;
const chunkOverheadBytes = 1024;

/** The most that one answer takes: a vector, in its chunks. */
export function answerSize(vectorBytes: number, chunkBytes: number): AnswerSize {
  const messages = Math.max(1, Math.ceil(vectorBytes / chunkBytes));
  return { messages, bytes: vectorBytes + messages * chunkOverheadBytes + answerOverheadBytes };
}

/** After it: beside its answers, pings and messages about itself, and answers that were no longer wanted. */
export function memberLimits(answer: AnswerSize): BudgetLimits {
  const { messages, bytes } = answer;
  return {
    messages: { capacity: 56 + 8 * messages, perSecond: 15 + messages },
    bytes: { capacity: 8 * bytes, perSecond: bytes + 64 * 1024 },
    answer,
  };
}

/** Weights and tasks of two steps may wait, and as much again while a worker comes back to reading. */
const maxQueuedSteps = 4;
const extraQueueBytes = 1024 * 1024;

/** @param batchBytes of all samples of a step */
export function maxQueuedBytes(vectorBytes: number, batchBytes: number): number {
  return maxQueuedSteps * (vectorBytes + batchBytes) + extraQueueBytes;
}
