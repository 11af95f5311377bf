/** Clients that can send a coordinator anything: messages, frames, or bytes below WebSocket. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { createLocalCompute } from '@lockstep/compute';
import {
  type CoordinatorMessage,
  decode,
  encode,
  halfWordsFrom,
  type MessageOf,
  protocolVersion,
  subprotocol,
  VectorAssembly,
  vectorMessages,
  type WorkerMessage,
} from '@lockstep/protocol';
import { sha256 } from '@lockstep/record/node';
import { openBackend } from '@lockstep/tensor';
import { systemClock } from '@lockstep/worker';
import { WebSocket } from 'ws';
import { type Closed, Inbox } from './inbox.ts';

export interface RawClient {
  readonly closed: Promise<Closed>;
  send(message: WorkerMessage): void;
  /** Sends a frame with these bytes or this text. */
  sendFrame(data: Uint8Array | string): void;
  /** The next message of a type. */
  next<T extends CoordinatorMessage['type']>(type: T): Promise<Extract<CoordinatorMessage, { type: T }>>;
}

export async function openRawClient(url: string): Promise<RawClient> {
  const socket = new WebSocket(url, subprotocol);
  const inbox = new Inbox<CoordinatorMessage>(socket, (frame) => decode(frame, 'coordinator'));
  await once(socket, 'open');
  return {
    closed: inbox.closed,
    send: (message) => socket.send(encode(message)),
    sendFrame: (data) => socket.send(data),
    next: (type) => inbox.next(type),
  };
}

export const hello: MessageOf<'hello'> = {
  type: 'hello',
  protocol: protocolVersion,
  kind: 'node',
  backend: 'cpu',
  numericMode: 'any',
  name: 'raw client',
  threads: 1,
};

/** Sends `hello` and waits for the numerics check. */
export async function handshake(client: RawClient): Promise<void> {
  client.send(hello);
  await client.next('numericsCheck');
}

/** Sends `hello` and answers the numerics check correctly, as a worker does. */
export async function joinAsWorker(client: RawClient): Promise<void> {
  client.send(hello);
  const { model, microbatchSize, chunkBytes } = await client.next('welcome');
  const numericsCheck = await client.next('numericsCheck');
  const { values = numericsCheck.weights.length / 4 } = numericsCheck;
  const weights = new VectorAssembly(values);
  weights.add({ at: 0, bytes: numericsCheck.weights });
  while (!weights.isWhole) weights.add(await client.next('chunk'));
  const { backend } = await openBackend('auto');
  const compute = createLocalCompute(backend, systemClock);
  await compute.open({ model, microbatchSize });
  compute.setWeights(weights.bytes);
  const { gradient, lossSum, correct } = await compute.gradient(
    numericsCheck.samples,
    halfWordsFrom(numericsCheck.targets),
  );
  const result = { type: 'numericsResult', hash: sha256(gradient), lossSum, correct, computeMs: 1 } as const;
  const begin = (first: Uint8Array, fields: { readonly values?: number }) => ({
    ...result,
    ...fields,
    gradient: first,
  });
  for (const message of vectorMessages(gradient, chunkBytes, begin)) client.send(message);
  await compute.close();
}

export interface TcpClient {
  /** Resolves with the content of the coordinator's close frame. */
  readonly closed: Promise<Closed>;
  write(bytes: Uint8Array): void;
}

/** Upgrades a TCP socket itself, so that it can begin a frame and never end it. */
export async function openTcpClient(url: string): Promise<TcpClient> {
  const { hostname, port } = new URL(url);
  const socket: Socket = connect(Number(port), hostname);
  await once(socket, 'connect');
  socket.write(
    [
      'GET / HTTP/1.1',
      `Host: ${hostname}:${port}`,
      'Upgrade: websocket',
      'Connection: Upgrade',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
      'Sec-WebSocket-Version: 13',
      `Sec-WebSocket-Protocol: ${subprotocol}`,
      '',
      '',
    ].join('\r\n'),
  );
  let received = Buffer.alloc(0);
  socket.on('data', (data: Buffer) => {
    received = Buffer.concat([received, data]);
  });
  socket.on('error', () => {});
  while (!received.includes('\r\n\r\n')) await once(socket, 'data');
  const frames = received.indexOf('\r\n\r\n') + 4;
  const closed = once(socket, 'close').then(() => closeFrameOf(received.subarray(frames)));
  return { closed, write: (bytes) => void socket.write(bytes) };
}

/** The close frame is the last one, and short; earlier frames are skipped. */
function closeFrameOf(bytes: Buffer): Closed {
  for (let at = 0; at + 2 <= bytes.length; ) {
    const opcode = bytes[at]! & 0x0f;
    const short = bytes[at + 1]!;
    const [length, header] =
      short < 126
        ? [short, 2]
        : short === 126
          ? [bytes.readUInt16BE(at + 2), 4]
          : [Number(bytes.readBigUInt64BE(at + 2)), 10];
    const payload = bytes.subarray(at + header, at + header + length);
    if (opcode === 8) return { code: payload.readUInt16BE(0), reason: payload.subarray(2).toString() };
    at += header + length;
  }
  return { code: 1006, reason: '' };
}
