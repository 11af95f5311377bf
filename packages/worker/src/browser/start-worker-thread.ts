/** Starts the thread of a tab's worker. */

// The name is that of the built file, which bundlers look for beside this one.
export function startWorkerThread(): Worker {
  return new Worker(new URL('./worker-thread.js', import.meta.url), { type: 'module', name: 'lockstep' });
}
