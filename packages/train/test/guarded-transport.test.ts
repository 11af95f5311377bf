/** The guard of a worker's socket, at the sizes of a test. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { type Closing, type CoordinatorTransport, subprotocol } from '@lockstep/protocol';
import { afterEach, expect, it } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { GuardedTransport } from '../src/site/guarded-transport.ts';
import { Guesses } from '../src/site/limiter.ts';

const server = new WebSocketServer({ host: '127.0.0.1', port: 0, handleProtocols: () => subprotocol });
const clients: WebSocket[] = [];

afterEach(() => {
  for (const client of clients.splice(0)) client.terminate();
});

async function connect() {
  if (server.address() === null) await once(server, 'listening');
  const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`, subprotocol);
  clients.push(client);
  const turnedAway: string[] = [];
  const [[webSocket, { socket }]] = await Promise.all([once(server, 'connection'), once(client, 'open')]);
  const transport: CoordinatorTransport = new GuardedTransport(
    { webSocket, socket, address: '127.0.0.1', onWelcome: () => {}, onEnding: () => {} },
    {
      maxFrameBytes: 2 ** 20,
      answer: { messages: 1, bytes: 2 ** 20 },
      maxQueuedBytes: 2 ** 20,
      heartbeatMs: 2_000,
      clock: { nowMs: () => 0, after: () => () => {} },
      token: undefined,
      guesses: new Guesses({ nowMs: () => 0, after: () => () => {} }),
      onTurnedAway: (reason) => turnedAway.push(reason),
    },
  );
  const closing = new Promise<Closing>((resolve) => transport.listen({ onMessage: () => {}, onClose: resolve }));
  return { client, transport, closing, turnedAway };
}

it('cuts a worker that reads nothing while weights wait for it', async () => {
  const { client, transport, closing, turnedAway } = await connect();
  client.pause();
  const bytes = new Uint8Array(2 ** 18);
  let closed: Closing | undefined;
  void closing.then((how) => {
    closed = how;
  });
  let mostQueuedBytes = 0;
  // Each turn of the event loop lets the kernel fill its own buffers.
  for (let step = 0; !closed; step++) {
    transport.send({ type: 'weights', step, bytes });
    mostQueuedBytes = Math.max(mostQueuedBytes, transport.bufferedBytes);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(closed).toMatchObject({ code: 1008, by: 'local', reason: expect.stringMatching(/^reads too little: /) });
  expect(mostQueuedBytes).toBeLessThan(2 ** 20 + 2 ** 19);
  expect(turnedAway).toEqual(['flood']);
});

it('counts the bytes of a frame that is not complete', async () => {
  const { client, transport } = await connect();
  const before = transport.receivedBytes ?? 0;
  const socket = (client as unknown as { _socket: NodeJS.WritableStream })._socket;
  const header = [0x82, 0xfe, 0x10, 0x00, 0, 0, 0, 0];
  socket.write(Uint8Array.from([...header, ...new Uint8Array(100)]));
  while ((transport.receivedBytes ?? 0) === before) await new Promise((resolve) => setImmediate(resolve));
  expect(transport.receivedBytes).toBe(before + header.length + 100);
});

it('cuts a client that sends pings and no hello', async () => {
  const { client, closing, turnedAway } = await connect();
  for (let ping = 0; ping < 1_000; ping++) client.ping();
  const reason = 'flood: expected hello and nothing else before the welcome, got more';
  expect(await closing).toEqual({ code: 1008, by: 'local', reason });
  expect(turnedAway).toEqual(['flood']);
});
