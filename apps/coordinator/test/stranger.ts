/** Somebody who comes to a coordinator and may say anything: frames as it likes, or bytes below WebSocket. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import {
  type CoordinatorMessage,
  decode,
  encode,
  protocolVersion,
  subprotocol,
  type WorkerMessage,
} from '@lockstep/protocol';
import { openBackend } from '@lockstep/tensor';
import { systemClock } from '@lockstep/train';
import { createLocalCompute } from '@lockstep/training';
import { WebSocket } from 'ws';
import { sha256 } from '../src/assemble.ts';

export interface Closed {
  readonly code: number;
  readonly reason: string;
}

export interface Stranger {
  readonly closed: Promise<Closed>;
  say(message: WorkerMessage): void;
  /** A frame of these bytes, or of this text. */
  frame(data: Uint8Array | string): void;
  /** The next message of a type. */
  hear<T extends CoordinatorMessage['type']>(type: T): Promise<Extract<CoordinatorMessage, { type: T }>>;
}

export async function openStranger(url: string): Promise<Stranger> {
  const socket = new WebSocket(url, subprotocol);
  const heard: CoordinatorMessage[] = [];
  const waiting = new Set<() => void>();
  socket.on('message', (data: Buffer) => {
    heard.push(decode(data, 'coordinator'));
    for (const check of [...waiting]) check();
  });
  const closed = new Promise<Closed>((resolve) => {
    socket.once('close', (code, reason) => resolve({ code, reason: reason.toString() }));
  });
  await once(socket, 'open');
  return {
    closed,
    say: (message) => socket.send(encode(message)),
    frame: (data) => socket.send(data),
    hear: (type) =>
      new Promise((resolve, reject) => {
        const check = (): void => {
          const index = heard.findIndex((message) => message.type === type);
          if (index < 0) return;
          waiting.delete(check);
          resolve(heard.splice(index, 1)[0] as never);
        };
        waiting.add(check);
        check();
        void closed.then(({ code, reason }) => reject(new Error(`expected ${type}, got closed: ${code} ${reason}`)));
      }),
  };
}

export const hello: WorkerMessage = {
  type: 'hello',
  protocol: protocolVersion,
  kind: 'node',
  backend: 'cpu',
  numericMode: 'any',
  name: 'stranger',
  threads: 1,
};

/** Says hello and waits for the numerics check. */
export async function greet(stranger: Stranger): Promise<void> {
  stranger.say(hello);
  await stranger.hear('numericsCheck');
}

/** Says hello and answers the numerics check rightly, as a worker does. */
export async function joinAsWorker(stranger: Stranger): Promise<void> {
  stranger.say(hello);
  const { model, microbatchSize } = await stranger.hear('welcome');
  const numericsCheck = await stranger.hear('numericsCheck');
  const { backend } = await openBackend('auto');
  const compute = createLocalCompute(backend, systemClock);
  await compute.open({ model, microbatchSize });
  compute.setWeights(numericsCheck.weights);
  const { gradient, lossSum, correct } = await compute.gradient(numericsCheck.pixels, numericsCheck.labels);
  stranger.say({ type: 'numericsResult', gradient, hash: sha256(gradient), lossSum, correct, computeMs: 1 });
  await compute.close();
}

export interface RawStranger {
  /** Resolves with what the coordinator's close frame says. */
  readonly closed: Promise<Closed>;
  write(bytes: Uint8Array): void;
}

/** Shakes hands by hand, so that frames can be begun and not ended. */
export async function openRawStranger(url: string): Promise<RawStranger> {
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

/** The close frame is the last one, and short; those before it are skipped. */
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
