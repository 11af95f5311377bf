/** Opens what a worker was asked to compute with, in this thread or on others. */
import { hostBackendNames, openBackend } from '@lockstep/tensor';
import { type ComputeChoice, systemClock } from '@lockstep/train';
import { type Compute, createLocalCompute } from '@lockstep/training';
import { startThreadedCompute } from './threaded-compute.ts';

export interface OpenedCompute {
  readonly compute: Compute;
  /** One sentence for each backend that was tried before and could not be used. */
  readonly refused: readonly string[];
  /** One line: what computes, and why nothing else does. */
  readonly choice: string;
}

/**
 * One thread of a host backend is this very thread: a shard then needs no way to another thread and back, and long ones
 * pause for the socket.
 * @throws Error with one sentence where nothing of what was asked for can be opened
 */
export async function openCompute(choice: ComputeChoice, threads: number): Promise<OpenedCompute> {
  const host = choice === 'auto' ? choice : hostBackendNames.find((name) => name === choice);
  if (threads > 1 || host === undefined) {
    const compute = await startThreadedCompute(choice, threads);
    return { compute, refused: compute.refused, choice: compute.choice };
  }
  const { backend, refused, choice: description } = await openBackend(host);
  return { compute: createLocalCompute(backend, systemClock), refused, choice: description };
}
