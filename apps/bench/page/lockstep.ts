/** Lockstep's gradient of one microbatch in the page, as a worker in a tab computes it. */
import { createMicrobatchGradient, resolveModel } from '@lockstep/nn';
import { type GpuBackendName, openBackend } from '@lockstep/tensor';
import type { PageGradient, PageWork } from '../src/peers/page-contract.ts';

export async function openLockstep(work: PageWork, name: GpuBackendName): Promise<PageGradient> {
  const { backend, choice } = await openBackend(name);
  const parameters = backend.allocate(work.initial.length);
  backend.upload(parameters, work.initial);
  const gradient = createMicrobatchGradient(backend, resolveModel('mlp'), work.batchSize, parameters);
  return {
    version: undefined,
    notes: [choice, 'compiled gradient, from bytes that each step uploads, read back whole'],
    async step(index) {
      const { pixels, labels } = work.batches[index]!;
      gradient.run(pixels, labels);
      const sums = await backend.download(gradient.output);
      // The gradient is followed by the sum of the losses and the number of correct answers.
      return [sums.subarray(0, work.initial.length).map((sum) => sum / labels.length)];
    },
    close() {
      gradient.dispose();
      backend.free(parameters);
    },
  };
}
