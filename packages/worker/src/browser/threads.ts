/** Compute threads of a tab: how many it can have, and how they are started. */
import type { ThreadMessage, ThreadOptions } from '@lockstep/tensor';

/** Why the browser gives this page no shared memory, and so one thread, if it does not. */
export function oneThreadReason(): string | undefined {
  if (crossOriginIsolated) return undefined;
  return isSecureContext
    ? 'this page is not isolated from other sites, so that one thread computes: open it in a tab of its own'
    : 'several threads exist only over https or on localhost: start the coordinator with --tls to have them here';
}

/** The most threads that a person can choose. */
export function mostThreads(): number {
  return oneThreadReason() === undefined ? Math.max(1, navigator.hardwareConcurrency) : 1;
}

/** All cores but one, which is left to the page and to what else the person does. */
export function usualThreads(): number {
  return Math.max(1, mostThreads() - 1);
}

/**
 * Compute threads of a page, for `openBackend`.
 * @param count threads in all, the calling one among them
 */
export function tabThreads(count: number): ThreadOptions {
  return {
    count,
    start(setup, { onMessage, onEnd }) {
      const thread = new Worker(new URL('./kernel-thread.js', import.meta.url), { type: 'module', name: 'compute' });
      thread.addEventListener('message', ({ data }: MessageEvent<ThreadMessage>) => onMessage(data));
      thread.addEventListener('error', ({ message }) => onEnd(message || 'its script did not load'));
      thread.postMessage(setup);
      return { end: async () => thread.terminate() };
    },
  };
}
