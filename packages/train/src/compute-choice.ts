/** What a person may ask a worker to compute with: a backend of the tensor engine, or a library beside it. */
import { type BackendChoice, backendNames } from '@lockstep/tensor';

export type ComputeChoice = BackendChoice | 'tfjs-node';

export const computeChoices: readonly ComputeChoice[] = ['auto', ...backendNames, 'tfjs-node'];

/** One sentence saying why a worker cannot compute on so many threads, or undefined where it can. */
export function threadsFault(choice: ComputeChoice, threads: number): string | undefined {
  // Two threads that enter TensorFlow at one moment may wait for each other for ever.
  if (choice !== 'tfjs-node' || threads === 1) return undefined;
  return `--threads: expected 1 with --backend tfjs-node, whose library serves one thread of a process, got ${threads}; start more workers instead`;
}
