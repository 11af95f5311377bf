/** A thread that computes: it holds one backend, and does its share of each shard that lies in the shared memory. */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { gatherPixels } from '@lockstep/data';
import { openBackend } from '@lockstep/tensor';
import { createTensorFlowCompute } from '@lockstep/tfjs-node';
import { type Compute, createLocalCompute } from '@lockstep/training';
import { additionsOf, partsOf, treeOf } from './parts.ts';
import {
  control,
  orders,
  type SharedMemory,
  type ThreadNews,
  type ThreadRequest,
  type ThreadResponse,
  type ThreadSetup,
} from './thread-messages.ts';

const port = parentPort;
if (!port) throw new Error('compute-thread: expected to be started as a worker thread');

const { backend: choice, index, threads, control: shared } = workerData as ThreadSetup;
const state = new Int32Array(shared);
let compute: Compute | undefined;
let microbatchSize = 1;
let memory: SharedMemory | undefined;
let weightsSeen = 0;

const answer = (response: ThreadResponse | ThreadNews): void => port.postMessage(response);
const errorMessage = (error: unknown): string => (error instanceof Error ? error.message : String(error));

async function openCompute(): Promise<{ compute: Compute; refused: readonly string[]; choice: string }> {
  const clock = { nowMs: () => performance.now() };
  if (choice === 'tfjs-node') {
    return { compute: await createTensorFlowCompute(clock), refused: [], choice: 'computing on tfjs-node' };
  }
  const { backend, refused, choice: message } = await openBackend(choice);
  return { compute: createLocalCompute(backend, clock), refused, choice: message };
}

async function handle(request: ThreadRequest): Promise<ThreadResponse> {
  switch (request.type) {
    case 'start': {
      const opened = await openCompute();
      compute = opened.compute;
      const { backend, numericMode } = compute;
      return { type: 'started', backend, numericMode, refused: opened.refused, choice: opened.choice };
    }
    case 'open':
      await compute?.open(request.setup);
      microbatchSize = request.setup.microbatchSize;
      return { type: 'opened' };
    case 'memory':
      memory = request.memory;
      weightsSeen = 0;
      return { type: 'remembered' };
    default:
      return request satisfies never;
  }
}

async function computeShard(): Promise<void> {
  if (!compute || !memory) throw new Error('compute-thread: expected a model and memory before shards');
  const { weights, labels, parts: vectors } = memory;
  const samples = state[control.samples]!;
  const { used, root } = treeOf(samples, microbatchSize);
  const parts = partsOf(used, root, threads);
  const length = weights.byteLength / 4 + 2;
  const vectorOf = (part: number): Float32Array => new Float32Array(vectors, part * length * 4, length);

  try {
    const weightsNow = state[control.weights]!;
    if (weightsNow !== weightsSeen) compute.setWeights(new Uint8Array(weights));
    weightsSeen = weightsNow;
    const firstSample = state[control.firstSampleHigh]! * 2 ** 31 + state[control.firstSampleLow]!;
    for (const [place, { shard, thread }] of parts.entries()) {
      if (thread !== index) continue;
      const from = shard.lo * microbatchSize;
      const to = Math.min(samples, (shard.lo + shard.n) * microbatchSize);
      const vector = vectorOf(place);
      const { gradient, lossSum, correct } = await compute.gradient(
        pixelsOf(memory, from, to),
        new Uint8Array(labels).slice(from, to),
        { seed: state[control.seed]! >>> 0, step: state[control.step]!, firstSample: firstSample + from },
        vector,
      );
      // Libraries beside the tensor engine leave theirs in memory of their own.
      if (gradient.buffer !== vectors) new Uint8Array(vectors, vector.byteOffset, gradient.length).set(gradient);
      vector[length - 2] = lossSum;
      vector[length - 1] = correct;
    }
  } catch (error) {
    Atomics.store(state, control.failed, 1);
    answer({ type: 'failed', message: errorMessage(error) });
  }
  meet();

  // Each thread adds one stretch of all vectors; no value depends on its neighbors, so the cut changes no bit.
  const from = Math.floor((length * index) / threads);
  const to = Math.floor((length * (index + 1)) / threads);
  for (const { left, right } of additionsOf(parts, root, used)) {
    add(vectorOf(left).subarray(from, to), vectorOf(right).subarray(from, to));
  }
  if (Atomics.add(state, control.added, 1) === threads - 1) answer({ type: 'added' });
}

/** The pixels of the shard's samples `[from, to)`; libraries beside the tensor engine take no shared memory, so a copy. */
function pixelsOf({ pixels, kept, numbers, sampleBytes }: SharedMemory, from: number, to: number): Uint8Array {
  if (state[control.named] === 0) return new Uint8Array(pixels).slice(from * sampleBytes, to * sampleBytes);
  return gatherPixels(new Uint8Array(kept), sampleBytes, new Uint32Array(numbers).subarray(from, to));
}

function add(left: Float32Array, right: Float32Array): void {
  for (let place = 0; place < left.length; place++) left[place]! += right[place]!;
}

/** Waits until every thread has computed its parts. */
function meet(): void {
  if (Atomics.add(state, control.computed, 1) === threads - 1) {
    Atomics.notify(state, control.computed);
    return;
  }
  for (let arrived = Atomics.load(state, control.computed); arrived < threads; ) {
    Atomics.wait(state, control.computed, arrived);
    arrived = Atomics.load(state, control.computed);
  }
}

let ticket = 0;
for (;;) {
  Atomics.wait(state, control.ticket, ticket);
  ticket = Atomics.load(state, control.ticket);
  switch (state[control.order]) {
    case orders.shard:
      await computeShard();
      break;
    case orders.listen:
      for (let taken = receiveMessageOnPort(port); taken; taken = receiveMessageOnPort(port)) {
        answer(
          await handle(taken.message as ThreadRequest).catch(
            (error: unknown) => ({ type: 'error', message: errorMessage(error) }) as const,
          ),
        );
      }
      break;
    default:
      throw new Error(`compute-thread: expected an order, got ${state[control.order]}`);
  }
}
