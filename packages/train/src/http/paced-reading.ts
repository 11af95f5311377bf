/** Reads for any number of requests at a pace of its own. */
import type { Clock } from '@lockstep/training';

/** The metrics take 5 ms of the thread that a run needs. */
const apartMs = 100;

/**
 * What `read` gives, no older than the call. Calls that come before it begins share a reading; one begins so long after
 * the end of the last that a flood of calls takes a small part of the time.
 */
export function pacedReading<Value>(read: () => Promise<Value>, clock: Clock): () => Promise<Value> {
  let last: Promise<unknown> = Promise.resolve();
  let next: Promise<Value> | undefined;
  let freeAtMs = Number.NEGATIVE_INFINITY;
  const begin = async (): Promise<Value> => {
    await last;
    await new Promise<void>((resolve) => clock.after(freeAtMs - clock.nowMs(), resolve));
    next = undefined;
    try {
      return await read();
    } finally {
      freeAtMs = clock.nowMs() + apartMs;
    }
  };
  return () => {
    if (!next) {
      next = begin();
      last = next.catch(() => {});
    }
    return next;
  };
}
