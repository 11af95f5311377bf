/** What a person may ask a worker to compute with: a backend of the tensor engine, or a library beside it. */

import { configurationError, named } from '@lockstep/command/options';
import { type BackendChoice, backendNames, hostBackendNames } from '@lockstep/tensor';

/** What computes: a backend by its name, or `auto` for the fastest that gives exact bits. */
export type ComputeChoice = BackendChoice | 'tfjs-node';

/** All that can be chosen to compute. */
export const computeChoices: readonly ComputeChoice[] = ['auto', ...backendNames, 'tfjs-node'];

/** Whether a choice computes in this thread's memory, and opens at once: the others can take a minute. */
export function isHostChoice(choice: ComputeChoice): boolean {
  return choice === 'auto' || hostBackendNames.some((name) => name === choice);
}

/** Those that compute on several threads over one memory. */
const threadedChoices: readonly ComputeChoice[] = ['auto', 'cpu', 'cpu-relaxed'];

/**
 * Requires one thread where what computes knows no more.
 * @throws ConfigurationError where the choice cannot compute on so many threads
 */
export function requireThreads(choice: ComputeChoice, threads: number): void {
  if (threads === 1 || threadedChoices.includes(choice)) return;
  // Two threads that enter TensorFlow at one moment may wait for each other for ever.
  const why = choice === 'tfjs-node' ? 'whose library serves one thread of a process' : 'which computes in one thread';
  const backend = named('backend', choice);
  throw configurationError`${named('threads')}: expected 1 with ${backend}, ${why}, got ${threads}; start more workers instead`;
}

/** The threads of each of so many processes that compute on this machine, where none were asked for. */
export function defaultThreads(choice: ComputeChoice, processes: number, cores: number): number {
  return threadedChoices.includes(choice) ? Math.max(1, Math.floor(cores / Math.max(1, processes))) : 1;
}
