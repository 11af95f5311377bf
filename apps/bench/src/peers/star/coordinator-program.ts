/** What the coordinators of the star question share: a socket to listen on, bursts, and what they took. */
import type { AddressInfo, Socket } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import { answerRequests, type Burst, type CoordinatorRequest } from './requests.ts';

export interface StarRun {
  /** Takes over a worker's socket that was just opened. */
  connect(socket: WebSocket): void;
  /** Resolves when the last step was taken. */
  readonly ended: Promise<void>;
  weights(): Float32Array;
}

export interface StarCoordinator {
  readonly version: string;
  readonly notes: readonly string[];
  readonly subprotocol?: string;
  readonly maxFrameBytes: number;
  /** @param onStep called after each step */
  begin(workers: number, steps: number, onStep: () => void): StarRun;
}

export async function serveStar(coordinator: StarCoordinator): Promise<void> {
  const { version, notes, subprotocol, maxFrameBytes } = coordinator;
  let run: StarRun | undefined;
  let started = { atMs: 0, cpu: process.cpuUsage() };
  let steps = 0;
  const sockets = new Set<Socket>();

  const server = new WebSocketServer({
    host: '127.0.0.1',
    port: 0,
    perMessageDeflate: false,
    maxPayload: maxFrameBytes,
    ...(subprotocol === undefined ? {} : { handleProtocols: () => subprotocol }),
  });
  server.on('connection', (socket, { socket: carrier }) => {
    carrier.setNoDelay(true);
    sockets.add(carrier);
    run?.connect(socket);
  });

  const answer = async (request: CoordinatorRequest): Promise<object> => {
    switch (request.do) {
      case 'listen':
        if (server.address() === null) await new Promise((resolve) => server.once('listening', resolve));
        return { port: (server.address() as AddressInfo).port, version, notes };
      case 'begin':
        sockets.clear();
        steps = 0;
        run = coordinator.begin(request.workers, request.warmUpSteps + request.steps, () => {
          steps += 1;
          if (steps === request.warmUpSteps) started = { atMs: performance.now(), cpu: process.cpuUsage() };
        });
        return {};
      case 'end': {
        await run?.ended;
        const ms = performance.now() - started.atMs;
        const { user, system } = process.cpuUsage(started.cpu);
        return {
          ms,
          cpuMs: (user + system) / 1000,
          residentBytes: process.memoryUsage.rss(),
          bytesSent: [...sockets].reduce((sum, socket) => sum + socket.bytesWritten, 0),
          bytesReceived: [...sockets].reduce((sum, socket) => sum + socket.bytesRead, 0),
        } satisfies Burst;
      }
      case 'result': {
        const weights = run?.weights() ?? new Float32Array(0);
        const bytes = Buffer.from(weights.buffer, weights.byteOffset, weights.byteLength);
        return { base64: bytes.toString('base64') };
      }
      default:
        return request satisfies never;
    }
  };
  await answerRequests(answer);
  for (const client of server.clients) client.terminate();
  server.close();
}
