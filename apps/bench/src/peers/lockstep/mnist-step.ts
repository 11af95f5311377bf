/** The training step on one of Lockstep's host backends, whose memory JavaScript can read. */
import { version } from '@lockstep/command';
import { createMicrobatchGradient, createOptimizer, resolveModel } from '@lockstep/nn';
import type { HostBackend, HostBackendName } from '@lockstep/tensor';
import { type Absent, type Implementation, timeSteps } from '../../harness/candidate.ts';
import type { MnistStep } from '../../workloads/mnist-step.ts';
import { openHost } from './open.ts';

/** The compiled gradient of a batch as one microbatch, and a run's optimizer. A step starts from pixels as bytes. */
export function createTraining(backend: HostBackend, { net, batchSize, batches, learningRate, initial }: MnistStep) {
  const parameters = backend.allocate(initial.length);
  const gradient = createMicrobatchGradient(backend, resolveModel(net.name), batchSize, parameters);
  const optimizer = createOptimizer(backend, { type: 'sgd', learningRate }, parameters);
  let next = 0;
  return {
    parameters,
    /** Returns to the initial parameters and the first batch. */
    reset(): void {
      next = 0;
      backend.upload(parameters, initial);
    },
    step(): void {
      const { pixels, labels } = batches[next++ % batches.length]!;
      gradient.run(pixels, labels);
      optimizer.step(labels.length, gradient.output);
    },
    dispose(): void {
      optimizer.dispose();
      gradient.dispose();
      backend.free(parameters);
    },
  };
}

export async function openLockstepStep(work: MnistStep, name: HostBackendName): Promise<Implementation | Absent> {
  const backend = await openHost(name);
  if ('absent' in backend) return backend;
  const { parameters, reset, step, dispose } = createTraining(backend, work);
  return {
    version,
    notes: [`numeric mode ${backend.numericMode}, 1 thread`, 'compiled gradient and optimizer, from bytes'],
    reset: async () => reset(),
    // A call of a host backend is complete when it returns.
    run: (steps) => timeSteps(steps, step),
    result: () => backend.download(parameters),
    close: async () => dispose(),
  };
}
