/** The engine's threads for compilation and garbage collection. */
import { readdirSync } from 'node:fs';
import { constants, setPriority } from 'node:os';

/**
 * On Linux, gives threads started from now on a higher priority than the engine's own. When all cores compute, a
 * compute thread that waits for a core delays a whole step, but a late compilation delays none.
 */
export function lowerEngineThreads(): void {
  if (process.platform !== 'linux') return;
  for (const thread of engineThreads()) {
    try {
      setPriority(thread, constants.priority.PRIORITY_LOW);
    } catch {
      // The thread has ended meanwhile.
    }
  }
}

/** All threads but the main one: the engine's, and at most a few that read files. */
function engineThreads(): number[] {
  try {
    return readdirSync('/proc/self/task')
      .map(Number)
      .filter((thread) => thread !== process.pid);
  } catch {
    return [];
  }
}
