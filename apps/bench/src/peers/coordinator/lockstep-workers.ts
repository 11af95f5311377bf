/** Workers of a run, as a program: they compute the numerics check and answer every task with one ready gradient. */
import { createHash } from 'node:crypto';
import {
  bytesOf,
  type CoordinatorMessage,
  gradientChecksum,
  halfWordsFrom,
  type MessageOf,
  openChecksum,
  protocolVersion,
  subprotocol,
  type WorkerTransport,
  webSocketTransport,
} from '@lockstep/protocol';
import { openBackend } from '@lockstep/tensor';
import { createLocalCompute } from '@lockstep/training';
import { systemClock } from '@lockstep/worker';
import { microbatchSize, model, readyGradient } from '../../workloads/coordinator-load.ts';
import { maxFrameBytes, serveWorkers } from './serve-workers.ts';

const { backend } = await openBackend('auto');
const compute = createLocalCompute(backend, systemClock);
await compute.open({ model, microbatchSize });
const checksumOf = await openChecksum();
const bytes = bytesOf(readyGradient());
let checked: MessageOf<'numericsResult'> | undefined;

async function numericsResult(check: MessageOf<'numericsCheck'>): Promise<MessageOf<'numericsResult'>> {
  compute.setWeights(check.weights);
  // The coordinator of this benchmark trains on bytes with classes.
  const labels = halfWordsFrom(check.targets);
  const { gradient, lossSum, correct, computeMs } = await compute.gradient(check.samples, labels);
  const hash = createHash('sha256').update(gradient).digest('hex');
  return { type: 'numericsResult', gradient, hash, lossSum, correct, computeMs };
}

function answersOf(transport: WorkerTransport): (message: CoordinatorMessage) => Promise<void> {
  let weightsStep = -1;
  let tasks: MessageOf<'task'>[] = [];
  /** A task may arrive before its weights. */
  const answerTasks = (): void => {
    for (const { step, lo, n, count } of tasks.filter((task) => task.step === weightsStep)) {
      const sum = { step, lo, n, bytes, lossSum: 1, correct: 0, count };
      transport.send({ type: 'gradient', ...sum, checksum: gradientChecksum(checksumOf, sum), computeMs: 0.1 });
    }
    tasks = tasks.filter((task) => task.step > weightsStep);
  };
  return async (message) => {
    switch (message.type) {
      case 'numericsCheck':
        checked ??= await numericsResult(message);
        transport.send(checked);
        return;
      case 'weights':
        weightsStep = message.step;
        answerTasks();
        return;
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
