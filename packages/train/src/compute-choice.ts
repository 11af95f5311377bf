/** What a person may ask a worker to compute with: a backend of the tensor engine, or a library beside it. */
import { type BackendChoice, backendNames } from '@lockstep/tensor';

export type ComputeChoice = BackendChoice | 'tfjs-node';

export const computeChoices: readonly ComputeChoice[] = ['auto', ...backendNames, 'tfjs-node'];

/** Those that compute on several threads over one memory. */
const threadedChoices: readonly ComputeChoice[] = ['auto', 'cpu', 'cpu-relaxed'];

/** One sentence saying why there cannot be so many compute threads, or undefined where there can. */
export function threadsFault(choice: ComputeChoice, threads: number): string | undefined {
  if (threads === 1 || threadedChoices.includes(choice)) return undefined;
  // Two threads that enter TensorFlow at one moment may wait for each other for ever.
  const why = choice === 'tfjs-node' ? 'whose library serves one thread of a process' : 'which computes in one thread';
  return `--threads: expected 1 with --backend ${choice}, ${why}, got ${threads}; start more workers instead`;
}

/** The threads of each of so many processes that compute on this machine, where none were asked for. */
export function defaultThreads(choice: ComputeChoice, processes: number, cores: number): number {
  return threadedChoices.includes(choice) ? Math.max(1, Math.floor(cores / Math.max(1, processes))) : 1;
}
