/** Opens what computes shards in this process beside the run's own backend, where a run has no workers. */
import { errorMessage, usageFailure } from '@lockstep/command';
import { isHostBackend, openBackend } from '@lockstep/tensor';
import { nodeThreads } from '@lockstep/tensor/node';
import { createTensorFlowCompute, prepareProcess } from '@lockstep/tfjs-node';
import { type ComputeChoice, systemClock } from '@lockstep/train';
import { type Compute, createLocalCompute } from '@lockstep/training';

/**
 * What computes, and a line that says why nothing else does.
 * @throws CommandFailure with exit code 2
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
    throw usageFailure(`--backend ${name}: ${errorMessage(error)}`);
  }
  throw usageFailure(`--backend ${name}: expected one that computes in this process`);
}
