/** The clock of the machine, in Node and in a page. */
import type { Clock } from '@lockstep/training';

/** Milliseconds since the process or page began, and timers. */
export const systemClock: Clock = {
  nowMs: () => performance.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};
