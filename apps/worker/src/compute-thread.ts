/** A thread that computes: it holds one backend and answers one request at a time. */
import { parentPort, workerData } from 'node:worker_threads';
import { openBackend } from '@lockstep/tensor';
import { type Compute, createLocalCompute } from '@lockstep/training';
import type { ThreadRequest, ThreadResponse, ThreadSetup } from './thread-messages.ts';

const port = parentPort;
if (!port) throw new Error('compute-thread: expected to be started as a worker thread');

const { backend: choice } = workerData as ThreadSetup;
let compute: Compute | undefined;
/** Requests are answered in order, though some of them wait. */
let work = Promise.resolve();

const answer = (response: ThreadResponse, transfer: ArrayBuffer[] = []): void => port.postMessage(response, transfer);

async function handle(request: ThreadRequest): Promise<void> {
  switch (request.type) {
    case 'start': {
      const { backend, refused } = await openBackend(choice);
      compute = createLocalCompute(backend, { nowMs: () => performance.now() });
      answer({ type: 'started', backend: backend.name, arithmetic: backend.arithmetic, refused });
      return;
    }
    case 'open':
      await compute?.open(request.setup);
      answer({ type: 'opened' });
      return;
    case 'weights':
      compute?.setWeights(new Uint8Array(request.shared));
      answer({ type: 'weighted' });
      return;
    case 'gradient': {
      if (!compute) throw new Error('compute-thread: expected a start before blocks');
      const result = await compute.gradient(request.pixels, request.labels, request.key);
      answer({ type: 'gradient', result }, [result.gradient.buffer as ArrayBuffer]);
      return;
    }
    default:
      request satisfies never;
  }
}

port.on('message', (request: ThreadRequest) => {
  work = work
    .then(() => handle(request))
    .catch((error: unknown) => {
      answer({ type: 'error', sentence: error instanceof Error ? error.message : String(error) });
    });
});
