/** Thread of a background compute: executes one call after another. */
import { parentPort, workerData } from 'node:worker_threads';
import { type Compute, createLocalCompute } from '@lockstep/compute';
import { openBackend } from '@lockstep/tensor';
import { createTensorFlowCompute } from '@lockstep/tfjs-node';
import type { BackgroundAnswer, BackgroundCall, BackgroundSetup } from './open-compute.ts';
import { systemClock } from './system-clock.ts';

const port = parentPort;
if (!port) throw new Error('background-thread: expected to be started as a worker thread');

const { choice } = workerData as BackgroundSetup;
/** Error of the last `weights` call; the next call fails with it. */
let weightsFailure: unknown;

const post = (answer: BackgroundAnswer): void => port.postMessage(answer);

async function start(): Promise<Compute> {
  // Computes shards without pauses: no other event waits for this thread.
  const clock = { nowMs: systemClock.nowMs };
  const opened = choice === 'tfjs-node' ? undefined : await openBackend(choice);
  const compute = opened ? createLocalCompute(opened.backend, clock) : await createTensorFlowCompute(clock);
  const { backend, numericMode } = compute;
  const { refused, choice: description } = opened ?? { refused: [], choice: 'computing on tfjs-node' };
  post({ type: 'started', backend, numericMode, refused, choice: description });
  return compute;
}

async function execute(compute: Compute, call: BackgroundCall): Promise<BackgroundAnswer | undefined> {
  if (call.type === 'weights') {
    weightsFailure = undefined;
    compute.setWeights(call.bytes);
    return undefined;
  }
  if (weightsFailure !== undefined) throw weightsFailure;
  if (call.type === 'open') {
    await compute.open(call.setup);
    return { type: 'opened' };
  }
  const { samples, targets, key } = call;
  return { type: 'computed', result: await compute.gradient(samples, targets, key === undefined ? {} : { key }) };
}

let last: Promise<Compute | undefined> = start().catch((error: unknown) => {
  fail(error);
  return undefined;
});

port.on('message', (call: BackgroundCall) => {
  last = last.then(async (compute) => {
    if (!compute) return undefined;
    try {
      const answer = await execute(compute, call);
      if (answer) post(answer);
    } catch (error) {
      if (call.type === 'weights') weightsFailure = error;
      else fail(error);
    }
    return compute;
  });
});

function fail(error: unknown): void {
  post({ type: 'failed', message: error instanceof Error ? error.message : String(error) });
}
