/** Lets a page's events have their turn. */

/**
 * Lets events that wait have their turn, before a callback.
 * A message to oneself comes after the events that wait, without the pause that browsers add to timers.
 */
export function createDefer(): (callback: () => void) => void {
  const { port1, port2 } = new MessageChannel();
  const callbacks: (() => void)[] = [];
  port1.onmessage = () => callbacks.shift()?.();
  return (callback) => {
    callbacks.push(callback);
    port2.postMessage(undefined);
  };
}
