import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { encode, FramePool } from '../src/codec.ts';
import { subprotocol } from '../src/messages.ts';
import { onGarbage, type WorkerTransport, webSocketTransport } from '../src/transport.ts';
import { describeTransport, Recorder } from './transport-suite.ts';

const maxPayload = 4 * 2 ** 20;

/** Copies what it sends, and does not tell when that has left, like a browser's socket. */
class CopyingSocket extends WebSocket {
  override send(data: Uint8Array): void {
    super.send(data.slice());
  }
}

/** Accepts only the close codes that a browser lets a page use: 1000 and 3000 to 4999. */
class PageSocket extends WebSocket {
  override close(code?: number, reason?: string): void {
    if (code !== undefined && code !== 1000 && (code < 3000 || code > 4999)) {
      throw new DOMException(`The close code must be either 1000, or between 3000 and 4999. ${code} is neither.`);
    }
    super.close(code, reason);
  }
}

const disposals: (() => Promise<unknown>)[] = [];

async function dispose(): Promise<void> {
  await Promise.all(disposals.splice(0).map((run) => run()));
}

/** Overwrites memory that is given back. */
class StrictPool extends FramePool {
  override give(frame: Uint8Array): void {
    super.give(frame.fill(0xee));
  }
}

const workerOver = (socket: WebSocket, memory: { frames?: FramePool; copies?: boolean } = {}): WorkerTransport =>
  webSocketTransport(socket, { side: 'worker', remote: 'the coordinator', ...memory });

const socketTo = (port: number, Kind = WebSocket): WebSocket => new Kind(`ws://127.0.0.1:${port}`, subprotocol);

/** Starts a server; `accepted` resolves with the coordinator's end of its first connection. */
async function listen(maxFrameBytes = maxPayload) {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, maxPayload });
  await once(server, 'listening');
  disposals.push(() => {
    for (const client of server.clients) client.terminate();
    return new Promise((resolve) => server.close(resolve));
  });
  const connected = once(server, 'connection') as Promise<[WebSocket]>;
  const accepted = connected.then(([socket]) =>
    webSocketTransport(socket, { side: 'coordinator', remote: 'a loopback worker', maxFrameBytes }),
  );
  return { server, port: (server.address() as AddressInfo).port, connected, accepted };
}

async function openWorker() {
  const { port, accepted } = await listen();
  const socket = socketTo(port);
  const worker = workerOver(socket);
  const coordinator = await accepted;
  if (socket.readyState === WebSocket.CONNECTING) await once(socket, 'open');
  return { coordinator, worker };
}

/** Opens a worker's bare socket, and records what the coordinator's end receives from it. */
async function rawWorker(maxFrameBytes?: number) {
  const { port, accepted } = await listen(maxFrameBytes);
  const socket = socketTo(port);
  await once(socket, 'open');
  const closed = once(socket, 'close').then(([code, reason]) => ({ code, reason: String(reason) }));
  return { recorder: new Recorder(await accepted), socket, closed };
}

/** Opens a TCP socket past its WebSocket handshake, on which any bytes can be written. */
async function handshake() {
  const { port, accepted } = await listen();
  const socket: Socket = connect(port, '127.0.0.1');
  disposals.push(async () => socket.destroy());
  socket.on('error', () => {});
  socket.write(
    `GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n` +
      `Sec-WebSocket-Protocol: ${subprotocol}\r\n\r\n`,
  );
  await once(socket, 'data');
  const coordinator = await accepted;
  return { socket, coordinator, recorder: new Recorder(coordinator) };
}

describeTransport({ name: 'webSocketTransport', open: openWorker, dispose });

describe('webSocketTransport', () => {
  afterEach(dispose);
  const [first, second, third] = [1, 2, 3].map((sentAtMs) => ({ type: 'ping', sentAtMs }) as const);
  const pings = [first!, second!, third!];
  const pingBytes = pings.reduce((sum, message) => sum + encode(message).byteLength, 0);

  it('tells of garbage each time that enough bytes have passed, in either direction', async () => {
    const { coordinator, worker } = await openWorker();
    const recorder = new Recorder(worker);
    const bytes = new Uint8Array(1024 * 1024);
    let times = 0;
    onGarbage(() => times++);
    disposals.push(async () => onGarbage(() => {}));
    const send = async (count: number): Promise<void> => {
      for (let sent = 0; sent < count; sent++) coordinator.send({ type: 'chunk', at: 1, bytes });
      await recorder.messageCount(recorder.messages.length + count);
    };
    await send(8);
    // Both ends are in this process, so 4 messages of a megabyte pass as 8.
    const before = times;
    for (const round of [1, 2, 3]) {
      await send(4);
      expect(times - before).toBe(round);
    }
  });

  it('counts the bytes of the messages that it has sent, and of those that have arrived', async () => {
    const { coordinator, worker } = await openWorker();
    const recorder = new Recorder(worker);
    for (const message of pings) coordinator.send(message);
    expect(coordinator.sentBytes).toBe(pingBytes);
    await recorder.messageCount(pings.length);
    expect([worker.receivedBytes, worker.sentBytes]).toEqual([pingBytes, 0]);
  });

  it.each([
    ['text', 'hello', 1003, 'frame: expected binary, got text'],
    ['an empty frame', new Uint8Array(0), 1002, 'frame: expected a complete value, got the end after 0 bytes'],
    ['no map', Uint8Array.of(1), 1002, 'frame: expected a map, got a value of kind scalar'],
    ['too much', new Uint8Array(1001), 1009, 'frame: expected at most 1000 bytes, got 1001'],
  ] as const)('ends on %s with its own code and a reason', async (_name, data, code, reason) => {
    const { recorder, socket, closed } = await rawWorker(1000);
    socket.send(data);
    expect(await recorder.closing()).toEqual({ code, reason, by: 'local' });
    expect(await closed).toEqual({ code, reason });
    expect(recorder.messages).toEqual([]);
  });

  const gigabyteHeader = Uint8Array.of(0x82, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0, 1, 2, 3, 4);
  it.each([
    ['a frame of 1 GiB, by its header', gigabyteHeader, 1009, /^frame: Max payload size exceeded$/],
    ['bytes that are no WebSocket frame', 'GET / HTTP/1.1\r\n\r\n', 1002, /^frame: /],
  ] as const)('ends on %s', async (_name, bytes, code, reason) => {
    const { socket, recorder } = await handshake();
    socket.write(bytes);
    expect(await recorder.closing()).toEqual({ code, reason: expect.stringMatching(reason), by: 'local' });
  });

  it('reports a peer that disappeared', async () => {
    const { recorder, socket } = await rawWorker();
    socket.terminate();
    expect(await recorder.closing()).toEqual({ code: 1006, reason: '', by: 'remote' });
  });

  it('does not wait for the peer to answer its close', async () => {
    const { socket, coordinator, recorder } = await handshake();
    socket.pause();
    coordinator.close(1002, 'enough');
    expect(await recorder.closing()).toEqual({ code: 1002, reason: 'enough', by: 'local' });
  });

  it('sends messages and vectors from before the socket opened', async () => {
    const { port, accepted } = await listen();
    const worker = workerOver(socketTo(port));
    const vector = [third!];
    worker.send(first!);
    worker.send(second!);
    expect(worker.bufferedBytes).toBe((2 / 3) * pingBytes);
    worker.sendVector({ next: () => vector.shift() });
    const recorder = new Recorder(await accepted);
    await recorder.messageCount(3);
    expect(recorder.messages).toEqual(pings);
    expect(worker.bufferedBytes).toBe(0);
  });

  it('can be closed before it opened', async () => {
    const { port } = await listen();
    const worker = workerOver(socketTo(port));
    const recorder = new Recorder(worker);
    worker.send(first!);
    worker.close(1000, 'changed my mind');
    expect(await recorder.closing()).toEqual({ code: 1000, reason: 'changed my mind', by: 'local' });
    expect(worker.bufferedBytes).toBe(0);
  });

  it('reports why the connection was refused', async () => {
    const { server, port } = await listen();
    await new Promise((resolve) => server.close(resolve));
    disposals.pop();
    const closing = await new Recorder(workerOver(socketTo(port))).closing();
    expect(closing).toEqual({ code: 1006, reason: `connect ECONNREFUSED 127.0.0.1:${port}`, by: 'remote' });
  });

  it.each([
    ['copies them', CopyingSocket, true],
    ['tells when they have left', WebSocket, false],
  ])('sends chunks unchanged from memory that is used again, over a socket that %s', async (_, Kind, copies) => {
    const { port, accepted, connected } = await listen();
    const socket = socketTo(port, Kind);
    await once(socket, 'open');
    const worker = workerOver(socket, { frames: new StrictPool(), copies });
    const recorder = new Recorder(await accepted);
    const [slow] = await connected;
    slow.pause();
    const chunks = Array.from({ length: 24 }, (_, index) => {
      return { type: 'chunk', at: index + 1, bytes: new Uint8Array(2 ** 19).fill(index) } as const;
    });
    for (const chunk of chunks) worker.send(chunk);
    // Longer than the kernel takes at once, so most of it waits in this process.
    expect(worker.bufferedBytes).toBeGreaterThan(2 ** 22);
    slow.resume();
    await recorder.messageCount(chunks.length);
    expect(recorder.messages).toEqual(chunks);
  });

  it('reports an answer from a plain HTTP server', async () => {
    const http = createServer((_request, response) => response.end('hello'));
    http.listen(0, '127.0.0.1');
    await once(http, 'listening');
    disposals.push(() => new Promise((resolve) => http.close(resolve)));
    const { port } = http.address() as AddressInfo;
    const closing = await new Recorder(workerOver(socketTo(port))).closing();
    expect(closing).toEqual({ code: 1006, reason: 'Unexpected server response: 200', by: 'remote' });
  });

  it('closes with a private code if a browser forbids the standard one', async () => {
    const { port, connected } = await listen();
    const recorder = new Recorder(workerOver(socketTo(port, PageSocket)));
    const [socket] = await connected;
    const closed = once(socket, 'close');
    socket.send(Uint8Array.of(1));
    expect((await recorder.closing()).code).toBe(1002);
    const [code, reason] = await closed;
    expect(code).toBe(4002);
    expect(String(reason)).toBe('frame: expected a map, got a value of kind scalar');
  });
});
