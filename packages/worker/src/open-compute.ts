/** Opens what a worker was asked to compute with: a backend beside the socket, or what would keep the socket waiting elsewhere. */
import { hostBackendNames, openBackend } from '@lockstep/tensor';
import { nodeThreads } from '@lockstep/tensor/node';
import { createLocalCompute } from '@lockstep/training';
import { startBackgroundCompute } from './background-compute.ts';
import type { ComputeChoice } from './compute-choice.ts';
import { systemClock } from './system-clock.ts';

/**
 * A host backend computes in this thread, and with its others: a shard then needs no way to another thread and back, and
 * long ones pause for the socket. GPUs and TensorFlow compute a whole shard at once.
 * @throws Error with one sentence where nothing of what was asked for can be opened
 */
export async function openCompute(choice: ComputeChoice, threads: number) {
  const host = choice === 'auto' ? choice : hostBackendNames.find((name) => name === choice);
  if (host === undefined) return startBackgroundCompute(choice);
  const opened = await openBackend(host, nodeThreads(threads));
  return { ...opened, compute: createLocalCompute(opened.backend, systemClock) };
}
