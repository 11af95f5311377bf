/** Thread of a background compute: executes one call after another. */

import { parentPort, workerData } from 'node:worker_threads';
import { type Compute, createLocalCompute } from '@lockstep/compute';
import { errorMessage } from '@lockstep/data/shown';
import { openBackend } from '@lockstep/tensor';
import { createTensorFlowCompute } from '@lockstep/tfjs-node';
import type { BackgroundAnswer, BackgroundCall, Started } from './open-compute.ts';
import type { ComputeChoice } from './options.ts';
import { systemClock } from './system-clock.ts';

const port = parentPort;
if (!port) throw new Error('background-thread: expected to be started as a worker thread');

let compute: Compute | undefined;
/** Error of the last weights; the next call fails with it. */
let weightsFailure: unknown;
let last = answer(() => start(workerData as ComputeChoice));

port.on('message', (call: BackgroundCall) => {
  last = last.then(() => {
    if (compute) return execute(compute, call);
  });
});

async function start(choice: ComputeChoice): Promise<Started> {
  // Computes shards without pauses: no other event waits for this thread.
  const clock = { nowMs: systemClock.nowMs };
  const opened = choice === 'tfjs-node' ? undefined : await openBackend(choice);
  compute = opened ? createLocalCompute(opened.backend, clock) : await createTensorFlowCompute(clock);
  const { backend, numericMode } = compute;
  return { backend, numericMode, refused: opened?.refused ?? [], choice: opened?.choice ?? 'computing on tfjs-node' };
}

async function execute(by: Compute, call: BackgroundCall): Promise<void> {
  if (call.type !== 'weights') {
    await answer(async () => {
      if (weightsFailure !== undefined) throw weightsFailure;
      return call.type === 'open' ? by.open(call.setup) : by.gradient(call.samples, call.targets, call.options);
    });
    return;
  }
  weightsFailure = undefined;
  try {
    by.setWeights(call.bytes);
  } catch (error) {
    weightsFailure = error;
  }
}

async function answer(call: () => Promise<unknown>): Promise<void> {
  const post = (posted: BackgroundAnswer): void => port?.postMessage(posted);
  try {
    post({ result: await call() });
  } catch (error) {
    post({ failure: errorMessage(error) });
  }
}
