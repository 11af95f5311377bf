/** Timers as values, so that tests can use virtual time. */
import { setTimeout as delay } from 'node:timers/promises';

/**
 * Calls `callback` at once, and again `everyMs` after each call has ended. The returned function stops this, and
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

/** Resolves after `ms` milliseconds, or when the signal is aborted. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => {});
}

/** Clock and timers of a machine or a simulation. */
export interface FleetTime {
  readonly nowMs: () => number;
  readonly repeat: Repeat;
  /** Resolves after `ms` milliseconds, or when the signal is aborted. */
  readonly pause: (ms: number, signal: AbortSignal) => Promise<void>;
}

export const systemTime: FleetTime = { nowMs: () => performance.now(), repeat, pause };
