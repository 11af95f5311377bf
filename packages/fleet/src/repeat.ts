/** Timers, as a value, so that tests have time of their own. */
import { setTimeout as delay } from 'node:timers/promises';

/**
 * Calls back at once, and again so long after each call has ended; the function that it returns ends that, and
 * resolves when the last call is over.
 */
export type Repeat = (everyMs: number, callback: () => Promise<void>) => () => Promise<void>;

export const repeat: Repeat = (everyMs, callback) => {
  const stopping = new AbortController();
  const { signal } = stopping;
  const over = (async () => {
    while (!signal.aborted) {
      await callback();
      await pause(everyMs, signal);
    }
  })();
  return async () => {
    stopping.abort();
    await over;
  };
};

/** Resolves after so long, or when the signal is aborted. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => {});
}

/** Time and timers of a machine, or of a simulation. */
export interface FleetTime {
  readonly nowMs: () => number;
  readonly repeat: Repeat;
  /** Resolves after so long, or when the signal is aborted. */
  readonly pause: (ms: number, signal: AbortSignal) => Promise<void>;
}

export const systemTime: FleetTime = { nowMs: () => performance.now(), repeat, pause };
