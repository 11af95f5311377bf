/** The name of a class or of a target value. */
import type { Run } from '../watch/run-store.ts';

/** Falls back to the number if there were too many names to send. */
export function outputName(run: Pick<Run, 'names'> | undefined, index: number): string {
  return run?.names?.[index] ?? `${index}`;
}
