/** Opens what a worker was asked to compute with, in this thread or on others. */
import { hostBackendNames, openBackend } from '@lockstep/tensor';
import { type ComputeChoice, systemClock } from '@lockstep/train';
import { createLocalCompute } from '@lockstep/training';
import { startThreadedCompute } from './threaded-compute.ts';

/**
 * One thread of a host backend is this very thread: a shard then needs no way to another thread and back, and long ones
 * pause for the socket.
 * @throws Error with one sentence where nothing of what was asked for can be opened
 */
export async function openCompute(choice: ComputeChoice, threads: number) {
  const host = choice === 'auto' ? choice : hostBackendNames.find((name) => name === choice);
  if (threads > 1 || host === undefined) return startThreadedCompute(choice, threads);
  const opened = await openBackend(host);
  return { ...opened, compute: createLocalCompute(opened.backend, systemClock) };
}
