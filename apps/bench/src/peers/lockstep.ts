/** Lockstep on the CPU, the baseline: a matrix product and the training step. */
import { version } from '@lockstep/command';
import { errorMessage } from '@lockstep/data/shown';
import { createMicrobatchGradient, createOptimizer } from '@lockstep/nn';
import { type HostBackend, openBackend } from '@lockstep/tensor';
import type { Absent, Implementation } from '../harness.ts';
import { type MatrixProduct, type Peer, type TrainingStep, targetFieldOf, timeSteps } from '../work.ts';

/** Opens the backend. If this engine lacks or refuses it, returns it as absent with the reason. */
async function openCpu(): Promise<HostBackend | Absent> {
  try {
    return (await openBackend('cpu')).backend;
  } catch (error) {
    return { absent: errorMessage(error) };
  }
}

async function openMatmul(work: MatrixProduct): Promise<Implementation | Absent> {
  const backend = await openCpu();
  if ('absent' in backend) return backend;
  const { m, k, n } = work;
  const [left, right, output] = [backend.allocate(m * k), backend.allocate(k * n), backend.allocate(m * n)];
  backend.upload(left, work.left);
  backend.upload(right, work.right);
  const program = backend.prepare([{ kind: 'matmul', m, k, n, left, right, output }]);
  return {
    version,
    notes: [`numeric mode ${backend.numericMode}, 1 thread`, 'a prepared program of one kernel call'],
    // A call of a host backend is complete when it returns.
    run: (steps) => timeSteps(steps, program.run),
    result: () => backend.download(output),
    async close() {
      program.dispose();
      for (const storage of [left, right, output]) backend.free(storage);
    },
  };
}

/** The compiled gradient of a batch as one microbatch, and a run's optimizer. A step starts from bytes. */
export function createTraining(backend: HostBackend, { net, batchSize, batches, learningRate, initial }: TrainingStep) {
  const parameters = backend.allocate(initial.length);
  const gradient = createMicrobatchGradient(backend, net.model, batchSize, parameters, {
    targetField: targetFieldOf(net),
  });
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
      const { samples, labels } = batches[next++ % batches.length]!;
      gradient.run(samples, labels);
      optimizer.step(batchSize, gradient.output);
    },
    dispose(): void {
      optimizer.dispose();
      gradient.dispose();
      backend.free(parameters);
    },
  };
}

async function openStep(work: TrainingStep): Promise<Implementation | Absent> {
  const backend = await openCpu();
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

// A comparison measures Lockstep as a program.
export default [{ name: 'lockstep cpu', only: 'bench', openStep, openMatmul }] satisfies readonly Peer[];
