/** Workers of a run, as a program: compute the numerics check and answer every task with one precomputed gradient. */
import { createHash } from 'node:crypto';
import { createLocalCompute } from '@lockstep/compute';
import {
  bytesOf,
  type CoordinatorMessage,
  gradientMessages,
  halfWordsFrom,
  type MessageOf,
  protocolVersion,
  subprotocol,
  VectorAssembly,
  vectorMessages,
  type WorkerTransport,
  webSocketTransport,
} from '@lockstep/protocol';
import { openBackend } from '@lockstep/tensor';
import { systemClock } from '@lockstep/worker';
import { microbatchSize, model, readyGradient } from '../../workloads/coordinator-load.ts';
import { maxFrameBytes, serveWorkers } from './serve-workers.ts';

const { backend } = await openBackend('auto');
const compute = createLocalCompute(backend, systemClock);
await compute.open({ model, microbatchSize });
const gradient = readyGradient();
const sums = new Map<number, Uint8Array>();
let checked: readonly MessageOf<'numericsResult' | 'chunk'>[] | undefined;

async function numericsResult(
  check: MessageOf<'numericsCheck'>,
  weights: Uint8Array,
  chunkBytes: number,
): Promise<readonly MessageOf<'numericsResult' | 'chunk'>[]> {
  compute.setWeights(weights);
  // The coordinator of this benchmark trains on bytes with classes as labels.
  const labels = halfWordsFrom(check.targets);
  const { gradient: computed, lossSum, correct, computeMs } = await compute.gradient(check.samples, labels);
  const hash = createHash('sha256').update(computed).digest('hex');
  const result = { type: 'numericsResult', hash, lossSum, correct, computeMs } as const;
  return [...vectorMessages(computed, chunkBytes, (first, fields) => ({ ...result, ...fields, gradient: first }))];
}

/** Returns the sum of a shard's microbatches, which all have the same gradient. */
function sumOf(microbatches: number): Uint8Array {
  const known = sums.get(microbatches);
  if (known) return known;
  const sum = bytesOf(gradient.map((value) => microbatches * value));
  sums.set(microbatches, sum);
  return sum;
}

function answerWith(sum: Parameters<typeof gradientMessages>[0]['sum'], chunkBytes: number) {
  const bytes = sumOf(sum.n);
  return gradientMessages({
    sum,
    parameterCount: gradient.length,
    chunkBytes,
    encode: (from, to) => ({ bytes: bytes.subarray(4 * from, 4 * to) }),
    // Longer than any answer takes: a worker without overhead, whose link would leave it out otherwise, gets a share of
    // each step.
    times: () => ({ computeMs: 60_000 }),
  });
}

/** Reassembles the vectors that the coordinator sends; one function per worker. */
function vectorsOf(): (message: MessageOf<'weights' | 'numericsCheck' | 'chunk'>) => Uint8Array | undefined {
  let assembly = new VectorAssembly(0);
  return (message) => {
    if (message.type === 'chunk') assembly.add(message);
    else {
      const bytes = message.type === 'weights' ? message.bytes : message.weights;
      assembly = new VectorAssembly(message.values ?? bytes.length / 4);
      assembly.add({ at: 0, bytes });
    }
    return assembly.isWhole ? assembly.bytes : undefined;
  };
}

function answersOf(transport: WorkerTransport): (message: CoordinatorMessage) => Promise<void> {
  const takeVector = vectorsOf();
  let vector: MessageOf<'weights' | 'numericsCheck'> | undefined;
  let chunkBytes = Number.MAX_SAFE_INTEGER;
  let weightsStep = -1;
  let tasks: MessageOf<'task'>[] = [];
  /** A task may arrive before its weights. */
  const answerTasks = (): void => {
    for (const { step, lo, n, count } of tasks.filter((task) => task.step === weightsStep)) {
      const sum = { step, lo, n, lossSum: 1, correct: 0, count };
      for (const message of answerWith(sum, chunkBytes)) transport.send(message);
    }
    tasks = tasks.filter((task) => task.step > weightsStep);
  };
  return async (message) => {
    switch (message.type) {
      case 'welcome':
        chunkBytes = message.chunkBytes;
        return;
      case 'numericsCheck':
      case 'weights':
      case 'chunk': {
        if (message.type !== 'chunk') vector = message;
        const bytes = takeVector(message);
        if (!bytes || !vector) return;
        if (vector.type === 'weights') {
          weightsStep = vector.step;
          answerTasks();
          return;
        }
        checked ??= await numericsResult(vector, bytes, chunkBytes);
        for (const part of checked) transport.send(part);
        return;
      }
      case 'task':
        tasks.push(message);
        answerTasks();
        return;
      case 'ping':
        transport.send({ type: 'pong', sentAtMs: message.sentAtMs });
        return;
      default:
        return;
    }
  };
}

await serveWorkers(
  (socket, name) =>
    new Promise<void>((resolve) => {
      const transport = webSocketTransport(socket, { side: 'worker', remote: 'the coordinator', maxFrameBytes });
      transport.listen({ onMessage: answersOf(transport), onClose: () => resolve() });
      const { name: backendName, numericMode } = backend;
      const identity = { kind: 'node', backend: backendName, numericMode, name, threads: 1 } as const;
      transport.send({ type: 'hello', protocol: protocolVersion, ...identity });
    }),
  [subprotocol],
);
