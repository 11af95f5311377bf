/** The thread of a background evaluator, which evaluates one set of weights after another. */

import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { errorMessage } from '@lockstep/data/shown';
import type { DatasetEvaluator } from '@lockstep/nn';
import { createMeasurement } from '@lockstep/prepare';
import type { Evaluated } from '@lockstep/record';
import { hostBackendNames, openBackend } from '@lockstep/tensor';
import { nodeThreads } from '@lockstep/tensor/node';
import type { EvaluationAnswer, EvaluationRequest } from './node-platform.ts';
import type { EvaluationSetup } from './training-platform.ts';

const port = parentPort;
if (!port) throw new Error('evaluation-thread: expected to be started as a worker thread');

/** Steps have priority on the cores. Only Linux has thread priorities, which this thread's own threads inherit. */
if (process.platform === 'linux') setPriority(10);

const opening = open(workerData as EvaluationSetup);
opening.catch(() => {});
const post = (answer: EvaluationAnswer): void => port.postMessage(answer);

port.on('message', async ({ weights, hasMetrics }: EvaluationRequest) => {
  const pause = async (): Promise<void> => post({ type: 'slice' });
  try {
    const evaluator = await opening;
    post({ type: 'evaluated', evaluation: await evaluator.evaluate(weights, pause, hasMetrics) });
  } catch (error) {
    post({ type: 'failed', message: errorMessage(error) });
  }
});

async function open({ backend: name, threads, ...measured }: EvaluationSetup): Promise<DatasetEvaluator<Evaluated>> {
  const choice = hostBackendNames.find((known) => known === name);
  if (choice === undefined) throw new Error(`expected one of ${hostBackendNames.join(', ')}, got ${name}`);
  const { backend } = await openBackend(choice, nodeThreads(threads));
  return createMeasurement(backend, measured);
}
