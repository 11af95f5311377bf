/** What this process may use: the machine's memory, or less where a container is allowed less. */
import { totalmem } from 'node:os';

export function systemMemoryBytes(): number {
  const allowed = process.constrainedMemory();
  return allowed > 0 ? Math.min(allowed, totalmem()) : totalmem();
}
