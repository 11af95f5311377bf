/** The clock of the machine, in Node and in a page. */
import type { Clock } from '@lockstep/training';
import { createDefer } from './browser/defer.ts';

/** Milliseconds since the process or page began, and timers. */
export const systemClock: Clock = {
  nowMs: () => performance.now(),
  after(delayMs, callback) {
    if (delayMs <= 0) return inNextTurn(callback);
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};

let defer: ReturnType<typeof createDefer> | undefined;

/** Without a timer, which takes 1 ms in Node, and 4 ms or more in a page, each time that a long shard is paused. */
function inNextTurn(callback: () => void): () => void {
  if (typeof setImmediate === 'function') {
    const immediate = setImmediate(callback);
    return () => clearImmediate(immediate);
  }
  defer ??= createDefer();
  let isCanceled = false;
  defer(() => {
    if (!isCanceled) callback();
  });
  return () => {
    isCanceled = true;
  };
}
