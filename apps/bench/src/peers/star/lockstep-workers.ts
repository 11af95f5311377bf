/** Workers of a run that answer at once, as a program: they compute the numerics check, and give one gradient to every task. */
import { createHash } from 'node:crypto';
import {
  bytesOf,
  type MessageOf,
  openChecksum,
  protocolVersion,
  subprotocol,
  webSocketTransport,
} from '@lockstep/protocol';
import { openBackend } from '@lockstep/tensor';
import { createLocalCompute } from '@lockstep/training';
import { WebSocket } from 'ws';
import { starGradient, starMicrobatchSize, starModel, starVectorBytes } from '../../work/star.ts';
import { answerRequests, type WorkersRequest } from './requests.ts';

const maxFrameBytes = 2 * starVectorBytes;
const { backend } = await openBackend('auto');
const compute = createLocalCompute(backend, { nowMs: () => performance.now() });
await compute.open({ model: starModel, microbatchSize: starMicrobatchSize });
const checksumOf = await openChecksum();
const bytes = bytesOf(starGradient());
const checksum = checksumOf(bytes);
let checked: MessageOf<'numericsResult'> | undefined;

async function answerNumericsCheck({
  weights,
  pixels,
  labels,
}: MessageOf<'numericsCheck'>): Promise<MessageOf<'numericsResult'>> {
  compute.setWeights(weights);
  const { gradient, lossSum, correct, computeMs } = await compute.gradient(pixels, labels);
  const hash = createHash('sha256').update(gradient).digest('hex');
  return { type: 'numericsResult', gradient, hash, lossSum, correct, computeMs };
}

/** Resolves when it was sent home. */
async function takePart(port: number, name: string): Promise<void> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}`, subprotocol, {
    perMessageDeflate: false,
    maxPayload: maxFrameBytes,
    generateMask: (mask) => mask.fill(0),
  });
  const transport = webSocketTransport(socket, { side: 'worker', remote: 'the coordinator', maxFrameBytes });
  let weightsStep = -1;
  let tasks: MessageOf<'task'>[] = [];

  const answerTasks = (): void => {
    for (const { step, lo, n, labels } of tasks.filter((task) => task.step === weightsStep)) {
      const count = labels.length;
      transport.send({ type: 'gradient', step, lo, n, bytes, checksum, lossSum: 1, correct: 0, count, computeMs: 0.1 });
    }
    tasks = tasks.filter((task) => task.step > weightsStep);
  };

  await new Promise<void>((resolve) => {
    transport.listen({
      async onMessage(message) {
        switch (message.type) {
          case 'numericsCheck':
            checked ??= await answerNumericsCheck(message);
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
      },
      onClose: () => resolve(),
    });
    const identity = {
      kind: 'node',
      backend: backend.name,
      numericMode: backend.numericMode,
      name,
      threads: 1,
    } as const;
    transport.send({ type: 'hello', protocol: protocolVersion, ...identity });
  });
}

await answerRequests(async ({ port, workers }: WorkersRequest) => {
  await Promise.all(Array.from({ length: workers }, (_, index) => takePart(port, `worker-${index + 1}`)));
  return {};
});
