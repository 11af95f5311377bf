/** A real worker process with one thread answers and obeys messages while it computes a long shard. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createNumericsCheck } from '@lockstep/compute';
import { initialize, inputSize, resolveModel } from '@lockstep/nn';
import {
  bytesOf,
  type CoordinatorTransport,
  type MessageOf,
  type WorkerMessage,
  webSocketTransport,
} from '@lockstep/protocol';
import { afterEach, expect, it } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import { startWorker } from '../../coordinator/test/processes.ts';

const model = resolveModel('mlp');
const microbatchSize = 16;
const step = 0;

let server: WebSocketServer | undefined;

afterEach(() => {
  for (const client of server?.clients ?? []) client.terminate();
  server?.close();
});

/** Starts a worker on the slowest backend; `onMessage` receives its messages. */
async function listenToWorker(onMessage: (message: WorkerMessage) => void): Promise<CoordinatorTransport> {
  server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
  startWorker(['--url', url, '--backend', 'reference']);
  const [socket] = (await once(server, 'connection')) as [WebSocket];
  const coordinator = webSocketTransport(socket, { side: 'coordinator', remote: 'the worker' });
  coordinator.listen({ onMessage, onClose: () => {} });
  return coordinator;
}

function task(lo: number, n: number): MessageOf<'task'> {
  const count = n * microbatchSize;
  const pixels = new Uint8Array(count * inputSize(model)).fill(100);
  return { type: 'task', step, lo, n, count, samples: pixels, targets: new Uint8Array(2 * count) };
}

it('answers pings between the slices of a shard, and leaves a shard that is canceled for the next', async () => {
  const received: WorkerMessage['type'][] = [];
  let coordinator: CoordinatorTransport | undefined;
  const next = new Map<WorkerMessage['type'], (message: WorkerMessage) => void>();
  const nextOf = <Type extends WorkerMessage['type']>(type: Type) =>
    new Promise<MessageOf<Type>>((resolve) => next.set(type, resolve as (message: WorkerMessage) => void));
  const greeted = nextOf('hello');
  coordinator = await listenToWorker((message) => {
    received.push(message.type);
    next.get(message.type)?.(message);
    // Answers each pong with another ping, which arrives while the worker computes.
    if (message.type === 'pong') coordinator?.send({ type: 'ping', sentAtMs: 0 });
  });
  await greeted;
  const run = {
    id: 'w1',
    resumeKey: 'key',
    model,
    microbatchSize,
    heartbeatMs: 60_000,
    maxFrameBytes: 1e9,
    chunkBytes: 2 ** 30,
  };
  const sampleField = { dtype: 'u8', shape: [784], role: 'scaled' } as const;
  const targetField = { dtype: 'u16', shape: [], role: 'index' } as const;
  coordinator.send({ type: 'welcome', ...run, sampleField, targetField });
  const checked = nextOf('numericsResult');
  const { weights, samples, targets, count } = createNumericsCheck(model, microbatchSize);
  const batch = { count, samples: bytesOf(samples), targets: bytesOf(targets) };
  coordinator.send({ type: 'numericsCheck', weights, ...batch });
  await checked;

  coordinator.send({ type: 'weights', step, bytes: bytesOf(initialize(model, 1)) });
  received.length = 0;
  // Both shards take long enough for several pings, however fast or busy the machine is.
  const first = nextOf('gradient');
  coordinator.send(task(0, 256));
  coordinator.send({ type: 'ping', sentAtMs: 0 });
  expect(await first).toMatchObject({ lo: 0, n: 256 });
  expect(received.filter((type) => type === 'pong').length).toBeGreaterThanOrEqual(4);

  const canceled = { lo: 512, n: 512 };
  const second = nextOf('gradient');
  coordinator.send(task(canceled.lo, canceled.n));
  coordinator.send(task(64, 1));
  for (let pong = 0; pong < 3; pong++) await nextOf('pong');
  coordinator.send({ type: 'cancel', step, ...canceled });
  expect(await second).toMatchObject({ lo: 64, n: 1 });
}, 60_000);
