/** What a class or a value is called. */
import type { Run } from '../watch/run-store.ts';

/** Its number where there are too many names to send. */
export function outputName(run: Pick<Run, 'names'> | undefined, index: number): string {
  return run?.names?.[index] ?? `${index}`;
}
