/** Compute threads of a tab: their number, and how to start them. */
import type { ThreadMessage, ThreadOptions } from '@lockstep/tensor';

/** Explains why this page has no shared memory and so only one thread; undefined if it has. */
export function oneThreadReason(): string | undefined {
  if (crossOriginIsolated) return undefined;
  return isSecureContext
    ? 'this page is not isolated from other sites, so that one thread computes: open it in a tab of its own'
    : 'several threads exist only over https or on localhost: start the coordinator with --tls to have them here';
}

/** Most threads that a person can choose. */
export function mostThreads(): number {
  return oneThreadReason() === undefined ? Math.max(1, navigator.hardwareConcurrency) : 1;
}

/** Default number of threads: all cores but one, which stays free for the page and other programs. */
export function usualThreads(): number {
  return Math.max(1, mostThreads() - 1);
}

/**
 * Compute threads of a page, for `openBackend`.
 * @param count total number of threads, including the calling one
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
