/** The clock of the machine, in Node and in a page. */
import type { Clock } from '@lockstep/protocol';

/** Milliseconds since the process or page started, and timers. */
export const systemClock: Clock = {
  nowMs: () => performance.now(),
  after(delayMs, callback) {
    if (delayMs <= 0) return inNextTurn(callback);
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};

let defer: ReturnType<typeof messageTurns> | undefined;

/** Avoids a timer, which would add 1 ms in Node, and 4 ms or more in a page, to each pause of a long shard. */
function inNextTurn(callback: () => void): () => void {
  if (typeof setImmediate === 'function') {
    const immediate = setImmediate(callback);
    return () => clearImmediate(immediate);
  }
  defer ??= messageTurns();
  let isCanceled = false;
  defer(() => {
    if (!isCanceled) callback();
  });
  return () => {
    isCanceled = true;
  };
}

/** Runs callbacks after pending events: a message to oneself queues behind them, without the delay of page timers. */
function messageTurns(): (callback: () => void) => void {
  const { port1, port2 } = new MessageChannel();
  const callbacks: (() => void)[] = [];
  port1.onmessage = () => callbacks.shift()?.();
  return (callback) => {
    callbacks.push(callback);
    port2.postMessage(undefined);
  };
}
