/** What this process computes on itself: the coordinator's own sums, and shards where it trains without workers. */
import { usageFailure } from '@lockstep/command';
import { type HostBackend, isHostBackend, type OpenedBackend, openBackend } from '@lockstep/tensor';
import { createTensorFlowCompute, prepareProcess } from '@lockstep/tfjs-node';
import type { ComputeChoice } from '@lockstep/train';
import { systemClock } from '@lockstep/train';
import { type Compute, createLocalCompute } from '@lockstep/training';

/** For the sums, the optimizer's steps and the evaluation, whatever the workers compute on. */
export function openHost(): Promise<OpenedBackend<HostBackend>> {
  return openBackend('auto');
}

export interface OpenedCompute {
  readonly compute: Compute;
  /** One line: what computes, and why nothing else does. */
  readonly choice: string;
}

/** @throws CommandFailure with exit code 2 */
export async function openCompute(choice: ComputeChoice): Promise<OpenedCompute> {
  try {
    if (choice === 'tfjs-node') {
      prepareProcess();
      return { compute: await createTensorFlowCompute(systemClock), choice: 'computing on tfjs-node' };
    }
    const { backend, choice: message } = await openBackend(choice);
    if (isHostBackend(backend)) return { compute: createLocalCompute(backend, systemClock), choice: message };
  } catch (error) {
    throw usageFailure(`--backend ${choice}: ${(error as Error).message}`);
  }
  throw usageFailure(`--backend ${choice}: expected one that computes in this process`);
}
