/** The program around a coordinator under test: listens, runs bursts on request, and measures them. */
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import { answerRequests, type Burst, type CoordinatorRequest, type Listening } from './requests.ts';

/** The steps of one burst. */
export interface BurstRun {
  connect(socket: WebSocket): void;
  readonly ended: Promise<void>;
  weights(): Float32Array;
}

export interface CoordinatorUnderTest {
  readonly version: string;
  readonly notes: readonly string[];
  readonly subprotocol?: string;
  readonly maxFrameBytes: number;
  begin(workers: number, steps: number, onStep: () => void): BurstRun;
}

export async function serveCoordinator(coordinator: CoordinatorUnderTest): Promise<void> {
  const { version, notes, subprotocol, maxFrameBytes } = coordinator;
  /** Sockets of the current burst. */
  const sockets = new Set<Socket>();
  let run: BurstRun | undefined;
  let started = { atMs: 0, cpu: process.cpuUsage() };
  const server = new WebSocketServer({
    host: '127.0.0.1',
    port: 0,
    perMessageDeflate: false,
    maxPayload: maxFrameBytes,
    ...(subprotocol === undefined ? {} : { handleProtocols: () => subprotocol }),
  });
  server.on('connection', (webSocket, { socket }) => {
    socket.setNoDelay(true);
    sockets.add(socket);
    run?.connect(webSocket);
  });
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  process.stdout.write(`${JSON.stringify({ port, version, notes } satisfies Listening)}\n`);
  const begin = (workers: number, steps: number, warmUpSteps: number): object => {
    let taken = 0;
    sockets.clear();
    run = coordinator.begin(workers, warmUpSteps + steps, () => {
      taken += 1;
      if (taken === warmUpSteps) started = { atMs: performance.now(), cpu: process.cpuUsage() };
    });
    return {};
  };
  await answerRequests(async (request: CoordinatorRequest) => {
    switch (request.do) {
      case 'begin':
        return begin(request.workers, request.steps, request.warmUpSteps);
      case 'end':
        await run?.ended;
        return measure([...sockets], started);
      case 'result': {
        const { buffer, byteOffset, byteLength } = run?.weights() ?? new Float32Array(0);
        return { base64: Buffer.from(buffer, byteOffset, byteLength).toString('base64') };
      }
      default:
        return request satisfies never;
    }
  });
  for (const client of server.clients) client.terminate();
  server.close();
}

function measure(sockets: readonly Socket[], started: { readonly atMs: number; readonly cpu: NodeJS.CpuUsage }): Burst {
  const ms = performance.now() - started.atMs;
  const { user, system } = process.cpuUsage(started.cpu);
  return {
    ms,
    cpuMs: (user + system) / 1000,
    residentBytes: process.memoryUsage.rss(),
    bytesSent: sockets.reduce((sum, socket) => sum + socket.bytesWritten, 0),
    bytesReceived: sockets.reduce((sum, socket) => sum + socket.bytesRead, 0),
  };
}
