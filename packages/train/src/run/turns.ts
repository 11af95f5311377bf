/** How a long piece of work lets sockets, timers and steps have their turn. */
import { setImmediate as nextTurn } from 'node:timers/promises';

/** Where the steps are computed in this process too, neither they nor the work should wait for each turn of the other. */
const inlineMs = 10;

/** @param isInline whether the steps are computed in this process; otherwise each call is a turn, for the workers' messages */
export function createPause(isInline: boolean, nowMs: () => number): () => Promise<void> {
  let turnAtMs = nowMs();
  return async () => {
    if (isInline && nowMs() - turnAtMs < inlineMs) return;
    await nextTurn();
    turnAtMs = nowMs();
  };
}
