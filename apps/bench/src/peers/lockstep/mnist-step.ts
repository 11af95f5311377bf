/** The training step on one of Lockstep's backends that JavaScript can read. */
import { createMicrobatchGradient, createOptimizer, resolveModel } from '@lockstep/nn';
import type { HostBackendName } from '@lockstep/tensor';
import { type Absent, type Implementation, timeSteps } from '../../harness/candidate.ts';
import type { MnistStep } from '../../work/mnist-step.ts';
import { packageVersion } from '../version.ts';
import { openHost } from './open.ts';

/** The compiled gradient of a batch as one microbatch and the optimizer of a run; a step starts from pixels as bytes. */
export async function openLockstepStep(work: MnistStep, name: HostBackendName): Promise<Implementation | Absent> {
  const backend = await openHost(name);
  if ('absent' in backend) return backend;
  const parameters = backend.allocate(work.initial.length);
  const gradient = createMicrobatchGradient(backend, resolveModel(work.net.name), work.batchSize, parameters);
  const optimizer = createOptimizer(
    backend,
    { type: 'sgd', learningRate: work.learningRate },
    parameters,
    backend.slice(gradient.output, 0, work.initial.length),
  );
  let next = 0;
  const step = (): void => {
    const { pixels, labels } = work.batches[next++ % work.batches.length]!;
    gradient.run(pixels, labels);
    optimizer.step(labels.length);
  };
  return {
    version: await packageVersion('@lockstep/tensor'),
    notes: [`numeric mode ${backend.numericMode}, 1 thread`, 'compiled gradient and optimizer, from bytes'],
    async reset() {
      next = 0;
      backend.upload(parameters, work.initial);
    },
    // A call of a host backend is complete when it returns.
    run: (steps) => timeSteps(steps, step),
    result: () => backend.download(parameters),
    async close() {
      optimizer.dispose();
      gradient.dispose();
      backend.free(parameters);
    },
  };
}
