/** Opens what computes shards in this process beside the run's own backend, where a run has no workers. */

import { isHostBackend, openBackend } from '@lockstep/tensor';
import { nodeThreads } from '@lockstep/tensor/node';
import { createTensorFlowCompute, prepareProcess } from '@lockstep/tfjs-node';
import { type Compute, createLocalCompute } from '@lockstep/training';
import { type ComputeChoice, configurationError, named, systemClock } from '@lockstep/worker';
import { errorMessage } from '../error-message.ts';

/**
 * What computes, and a line that says why nothing else does.
 * @throws ConfigurationError
 */
export async function openCompute(name: ComputeChoice, threads: number): Promise<{ compute: Compute; choice: string }> {
  try {
    if (name === 'tfjs-node') {
      prepareProcess();
      return { compute: await createTensorFlowCompute(systemClock), choice: 'computing on tfjs-node' };
    }
    const { backend, choice } = await openBackend(name, nodeThreads(threads));
    if (isHostBackend(backend)) return { compute: createLocalCompute(backend, systemClock), choice };
  } catch (error) {
    throw configurationError`${named('backend', name)}: ${errorMessage(error)}`;
  }
  throw configurationError`${named('backend', name)}: expected one that computes in this process`;
}
