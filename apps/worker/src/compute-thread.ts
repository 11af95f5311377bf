/** A compute thread: holds one backend, and computes its parts of each shard that is in the shared memory. */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { gatherPixels } from '@lockstep/data';
import { openBackend } from '@lockstep/tensor';
import { createTensorFlowCompute } from '@lockstep/tfjs-node';
import { systemClock } from '@lockstep/train';
import { type Compute, type ComputeSetup, createLocalCompute, TreeReduction } from '@lockstep/training';
import { partsOf, type ShardParts } from './shard-parts.ts';
import { commands, control, type SharedMemory, type ThreadMessage, type ThreadSetup } from './thread-protocol.ts';

const port = parentPort;
if (!port) throw new Error('compute-thread: expected to be started as a worker thread');

const { backend: choice, index, threads, control: shared } = workerData as ThreadSetup;
const state = new Int32Array(shared);
let compute: Compute | undefined;
let setup: ComputeSetup | undefined;
let memory: SharedMemory | undefined;
let weightsVersion = 0;

const post = (message: ThreadMessage): void => port.postMessage(message);

/** The message that came with the command. */
const payload = (): unknown => receiveMessageOnPort(port)?.message;

async function execute(command: number | undefined): Promise<void> {
  switch (command) {
    case commands.start:
      return start();
    case commands.open:
      setup = payload() as ComputeSetup;
      return compute?.open(setup);
    case commands.memory:
      memory = payload() as SharedMemory;
      weightsVersion = 0;
      return;
    case commands.shard:
      return computeShard();
    default:
      throw new Error(`compute-thread: expected a command, got ${command}`);
  }
}

async function start(): Promise<void> {
  // Shards are computed without a pause: no other event waits for this thread.
  const clock = { nowMs: systemClock.nowMs };
  const opened = choice === 'tfjs-node' ? undefined : await openBackend(choice);
  compute = opened ? createLocalCompute(opened.backend, clock) : await createTensorFlowCompute(clock);
  const { backend, numericMode } = compute;
  const { refused, choice: description } = opened ?? { refused: [], choice: 'computing on tfjs-node' };
  if (index === 0) post({ type: 'started', backend, numericMode, refused, choice: description });
}

async function computeShard(): Promise<void> {
  if (!compute || !setup || !memory) throw new Error('compute-thread: expected a model and memory before shards');
  const cut = partsOf(state[control.samples]!, setup.microbatchSize, threads);
  try {
    await computeParts(compute, cut, setup.microbatchSize, memory);
  } finally {
    waitAtBarrier();
  }
  addParts(cut, memory);
}

/** Leaves the sums of each part of this thread in the part's vector. */
async function computeParts(
  compute: Compute,
  { parts }: ShardParts,
  microbatchSize: number,
  memory: SharedMemory,
): Promise<void> {
  const version = state[control.weightsVersion]!;
  if (version !== weightsVersion) compute.setWeights(new Uint8Array(memory.weights));
  weightsVersion = version;
  const firstSample = state[control.firstSampleHigh]! * 2 ** 31 + state[control.firstSampleLow]!;
  for (const [place, { shard, thread }] of parts.entries()) {
    if (thread !== index) continue;
    const from = shard.lo * microbatchSize;
    const to = Math.min(state[control.samples]!, (shard.lo + shard.n) * microbatchSize);
    const vector = vectorOf(memory, place);
    const { gradient, lossSum, correct } = await compute.gradient(
      pixelsOf(memory, from, to),
      new Uint8Array(memory.labels).slice(from, to),
      {
        key: { seed: state[control.seed]! >>> 0, step: state[control.step]!, firstSample: firstSample + from },
        into: vector,
      },
    );
    // Libraries beside the tensor engine leave the gradient in memory of their own.
    if (gradient.buffer !== memory.parts) {
      new Uint8Array(memory.parts, vector.byteOffset, gradient.length).set(gradient);
    }
    vector.set([lossSum, correct], vector.length - 2);
  }
}

/** The pixels of the shard's samples `[from, to)`, copied: libraries beside the tensor engine take no shared memory. */
function pixelsOf({ pixels, cache, numbers, sampleBytes }: SharedMemory, from: number, to: number): Uint8Array {
  return state[control.isCached] === 0
    ? new Uint8Array(pixels).slice(from * sampleBytes, to * sampleBytes)
    : gatherPixels(new Uint8Array(cache), sampleBytes, new Uint32Array(numbers).subarray(from, to));
}

/** Adds one stretch of all vectors by the tree; no value depends on its neighbors, so the cut changes no bit. */
function addParts({ root, usedMicrobatches, parts }: ShardParts, memory: SharedMemory): void {
  const { length } = vectorOf(memory, 0);
  const from = Math.floor((length * index) / threads);
  const to = Math.floor((length * (index + 1)) / threads);
  const reduction = new TreeReduction<Float32Array>({
    root,
    usedMicrobatches,
    combine(left, right) {
      for (let place = 0; place < left.length; place++) left[place]! += right[place]!;
      return left;
    },
  });
  for (const [place, { shard }] of parts.entries()) reduction.add(shard, vectorOf(memory, place).subarray(from, to));
}

function vectorOf({ parts, weights }: SharedMemory, place: number): Float32Array {
  const length = weights.byteLength / 4 + 2;
  return new Float32Array(parts, place * length * 4, length);
}

/** Waits until every thread has computed its parts. */
function waitAtBarrier(): void {
  if (Atomics.add(state, control.computed, 1) === threads - 1) {
    Atomics.notify(state, control.computed);
    return;
  }
  for (let arrived = Atomics.load(state, control.computed); arrived < threads; ) {
    Atomics.wait(state, control.computed, arrived);
    arrived = Atomics.load(state, control.computed);
  }
}

for (let sequence = 0; ; ) {
  Atomics.wait(state, control.sequence, sequence);
  sequence = Atomics.load(state, control.sequence);
  try {
    await execute(state[control.command]);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    if (Atomics.exchange(state, control.failed, 1) === 0) post({ type: 'failed', message });
  }
  if (Atomics.add(state, control.finished, 1) === threads - 1) post({ type: 'finished' });
}
