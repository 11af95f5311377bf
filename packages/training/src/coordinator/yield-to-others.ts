/** When a worker of the coordinator's process computes: once what is on its way to other workers has left, or is stuck. */
import type { Run } from './run.ts';

export interface YieldOptions {
  readonly unsent: () => Run['unsent'];
  readonly nowMs: () => number;
  /** Calls back when other events have had their turn. */
  readonly defer: (callback: () => void) => void;
}

/** Connections that take nothing for so long wait for their networks, which computing does not hold up. */
const stuckMs = 1;
/** Others that go on taking are waited for about as long as a slice of computing takes. */
const mostMs = 10;

/** Others cannot begin before they have their weights, whereas this process has them. */
export function createYield({ unsent, nowMs, defer }: YieldOptions): () => Promise<void> {
  const turn = (): Promise<void> => new Promise((resolve) => defer(resolve));
  return async () => {
    const beganAtMs = nowMs();
    let [movedAtMs, given] = [beganAtMs, unsent().given];
    for (;;) {
      await turn();
      const left = unsent();
      const atMs = nowMs();
      if (left.given !== given) [movedAtMs, given] = [atMs, left.given];
      if (!left.isAny || atMs - movedAtMs >= stuckMs || atMs - beganAtMs >= mostMs) return;
    }
  };
}
