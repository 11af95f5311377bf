import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { encode } from '../src/codec.ts';
import { subprotocol } from '../src/messages.ts';
import type { CoordinatorTransport, WorkerTransport } from '../src/transport.ts';
import { webSocketTransport } from '../src/web-socket.ts';
import { describeTransport, Recorder } from './transport-suite.ts';

const maxPayload = 4 * 2 ** 20;

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

async function listen(): Promise<{ readonly server: WebSocketServer; readonly port: number }> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, maxPayload });
  await once(server, 'listening');
  disposals.push(() => {
    for (const client of server.clients) client.terminate();
    return new Promise((resolve) => server.close(resolve));
  });
  return { server, port: (server.address() as AddressInfo).port };
}

async function accept(server: WebSocketServer, maxFrameBytes = maxPayload): Promise<CoordinatorTransport> {
  const [socket] = (await once(server, 'connection')) as [WebSocket];
  return webSocketTransport(socket, { side: 'coordinator', remote: 'a loopback worker', maxFrameBytes });
}

async function openWorker(): Promise<{ coordinator: CoordinatorTransport; worker: WorkerTransport }> {
  const { server, port } = await listen();
  const accepted = accept(server);
  const socket = new WebSocket(`ws://127.0.0.1:${port}`, subprotocol);
  const worker = webSocketTransport(socket, { side: 'worker', remote: 'the coordinator' });
  const coordinator = await accepted;
  if (socket.readyState === WebSocket.CONNECTING) await once(socket, 'open');
  return { coordinator, worker };
}

describeTransport({ name: 'webSocketTransport', open: openWorker, dispose });

describe('webSocketTransport', () => {
  afterEach(dispose);

  it('counts the bytes of the messages that it has sent, and of those that have arrived', async () => {
    const { coordinator, worker } = await openWorker();
    const recorder = new Recorder(worker);
    const messages = [1, 2, 3].map((sentAtMs) => ({ type: 'ping', sentAtMs }) as const);
    for (const message of messages) coordinator.send(message);
    const bytes = messages.reduce((sum, message) => sum + encode(message).byteLength, 0);
    expect(coordinator.sentBytes).toBe(bytes);
    await recorder.messageCount(messages.length);
    expect([worker.receivedBytes, worker.sentBytes]).toEqual([bytes, 0]);
  });

  /** Opens a worker's bare socket, and records what the coordinator's end receives from it. */
  async function rawWorker(maxFrameBytes?: number) {
    const { server, port } = await listen();
    const accepted = accept(server, maxFrameBytes);
    const socket = new WebSocket(`ws://127.0.0.1:${port}`, subprotocol);
    await once(socket, 'open');
    const coordinator = await accepted;
    const closed = once(socket, 'close').then(([code, reason]) => ({ code, reason: String(reason) }));
    return { recorder: new Recorder(coordinator), socket, closed };
  }

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

  it('refuses a frame of 1 GiB by its header', async () => {
    const { server, port } = await listen();
    const accepted = accept(server);
    const socket = await handshake(port);
    const recorder = new Recorder(await accepted);
    socket.write(Uint8Array.of(0x82, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0, 1, 2, 3, 4));
    expect(await recorder.closing()).toEqual({
      code: 1009,
      reason: 'frame: Max payload size exceeded',
      by: 'local',
    });
  });

  it('ends on bytes that are no WebSocket frame', async () => {
    const { server, port } = await listen();
    const accepted = accept(server);
    const socket = await handshake(port);
    const recorder = new Recorder(await accepted);
    socket.write('GET / HTTP/1.1\r\n\r\n');
    expect(await recorder.closing()).toMatchObject({ code: 1002, by: 'local' });
  });

  it('reports a peer that disappeared', async () => {
    const { recorder, socket } = await rawWorker();
    socket.terminate();
    expect(await recorder.closing()).toEqual({ code: 1006, reason: '', by: 'remote' });
  });

  it('does not wait for the peer to answer its close', async () => {
    const { server, port } = await listen();
    const accepted = accept(server);
    const socket = await handshake(port);
    socket.pause();
    const coordinator = await accepted;
    const recorder = new Recorder(coordinator);
    coordinator.close(1002, 'enough');
    expect(await recorder.closing()).toEqual({ code: 1002, reason: 'enough', by: 'local' });
  });

  it('sends messages from before the socket opened', async () => {
    const { server, port } = await listen();
    const accepted = accept(server);
    const socket = new WebSocket(`ws://127.0.0.1:${port}`, subprotocol);
    const worker = webSocketTransport(socket, { side: 'worker', remote: 'the coordinator' });
    worker.send({ type: 'ping', sentAtMs: 1 });
    worker.send({ type: 'ping', sentAtMs: 2 });
    expect(worker.bufferedBytes).toBe(2 * encode({ type: 'ping', sentAtMs: 1 }).byteLength);
    const recorder = new Recorder(await accepted);
    await recorder.messageCount(2);
    expect(recorder.messages).toEqual([
      { type: 'ping', sentAtMs: 1 },
      { type: 'ping', sentAtMs: 2 },
    ]);
    expect(worker.bufferedBytes).toBe(0);
  });

  it('can be closed before it opened', async () => {
    const { port } = await listen();
    const socket = new WebSocket(`ws://127.0.0.1:${port}`, subprotocol);
    const worker = webSocketTransport(socket, { side: 'worker', remote: 'the coordinator' });
    const recorder = new Recorder(worker);
    worker.send({ type: 'ping', sentAtMs: 1 });
    worker.close(1000, 'changed my mind');
    expect(await recorder.closing()).toEqual({ code: 1000, reason: 'changed my mind', by: 'local' });
    expect(worker.bufferedBytes).toBe(0);
  });

  it('reports why the connection was refused', async () => {
    const { server, port } = await listen();
    await new Promise((resolve) => server.close(resolve));
    disposals.pop();
    const worker = webSocketTransport(new WebSocket(`ws://127.0.0.1:${port}`, subprotocol), {
      side: 'worker',
      remote: 'the coordinator',
    });
    expect(await new Recorder(worker).closing()).toEqual({
      code: 1006,
      reason: `connect ECONNREFUSED 127.0.0.1:${port}`,
      by: 'remote',
    });
  });

  it('reports an answer from a plain HTTP server', async () => {
    const http = createServer((_request, response) => response.end('hello'));
    http.listen(0, '127.0.0.1');
    await once(http, 'listening');
    disposals.push(() => new Promise((resolve) => http.close(resolve)));
    const url = `ws://127.0.0.1:${(http.address() as AddressInfo).port}`;
    const worker = webSocketTransport(new WebSocket(url, subprotocol), { side: 'worker', remote: 'the coordinator' });
    expect(await new Recorder(worker).closing()).toEqual({
      code: 1006,
      reason: 'Unexpected server response: 200',
      by: 'remote',
    });
  });

  it('closes with a private code where a browser forbids the standard one', async () => {
    const { server, port } = await listen();
    const connected = once(server, 'connection') as Promise<[WebSocket]>;
    const page = new PageSocket(`ws://127.0.0.1:${port}`, subprotocol);
    const recorder = new Recorder(webSocketTransport(page, { side: 'worker', remote: 'the coordinator' }));
    const [socket] = await connected;
    const closed = once(socket, 'close');
    socket.send(Uint8Array.of(1));
    expect((await recorder.closing()).code).toBe(1002);
    const [code, reason] = await closed;
    expect(code).toBe(4002);
    expect(String(reason)).toBe('frame: expected a map, got a value of kind scalar');
  });
});

/** Opens a TCP socket past its WebSocket handshake, on which any bytes can be written. */
async function handshake(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  disposals.push(async () => socket.destroy());
  socket.on('error', () => {});
  socket.write(
    `GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n` +
      `Sec-WebSocket-Protocol: ${subprotocol}\r\n\r\n`,
  );
  await once(socket, 'data');
  return socket;
}
