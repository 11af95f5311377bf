/** The threads in which the engine compiles and collects, beside those that compute. */
import { readdirSync } from 'node:fs';
import { constants, setPriority } from 'node:os';

/**
 * Lets threads that are started from now on go before the engine's own, on Linux. Where all cores compute, a thread that
 * waits for its core holds up a whole step, and a function that is compiled later holds up none.
 */
export function lowerEngineThreads(): void {
  if (process.platform !== 'linux') return;
  for (const thread of engineThreads()) {
    try {
      setPriority(thread, constants.priority.PRIORITY_LOW);
    } catch {
      // It has ended meanwhile.
    }
  }
}

/** All but the main thread: beside the engine's there are at most some that read files. */
function engineThreads(): number[] {
  try {
    return readdirSync('/proc/self/task')
      .map(Number)
      .filter((thread) => thread !== process.pid);
  } catch {
    return [];
  }
}
