/** The program around a coordinator under test: it listens, runs bursts on request, and measures them. */
import type { AddressInfo, Socket } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import { answerRequests, type Burst, type CoordinatorRequest, type Listening } from './requests.ts';

/** The steps of one burst. */
export interface BurstRun {
  /** Takes a worker's socket that was just opened. */
  connect(socket: WebSocket): void;
  /** Resolves after the last step. */
  readonly ended: Promise<void>;
  weights(): Float32Array;
}

export interface CoordinatorUnderTest {
  readonly version: string;
  readonly notes: readonly string[];
  readonly subprotocol?: string;
  readonly maxFrameBytes: number;
  /** @param onStep called after each step */
  begin(workers: number, steps: number, onStep: () => void): BurstRun;
}

export async function serveCoordinator(coordinator: CoordinatorUnderTest): Promise<void> {
  const server = new BurstServer(coordinator);
  await answerRequests((request: CoordinatorRequest) => server.answer(request));
  server.close();
}

class BurstServer {
  readonly #coordinator: CoordinatorUnderTest;
  readonly #server: WebSocketServer;
  /** Of the burst under way. */
  readonly #sockets = new Set<Socket>();
  #run: BurstRun | undefined;
  #steps = 0;
  #started = { atMs: 0, cpu: process.cpuUsage() };

  constructor(coordinator: CoordinatorUnderTest) {
    this.#coordinator = coordinator;
    const { subprotocol, maxFrameBytes } = coordinator;
    this.#server = new WebSocketServer({
      host: '127.0.0.1',
      port: 0,
      perMessageDeflate: false,
      maxPayload: maxFrameBytes,
      ...(subprotocol === undefined ? {} : { handleProtocols: () => subprotocol }),
    });
    this.#server.on('connection', (webSocket, { socket }) => {
      socket.setNoDelay(true);
      this.#sockets.add(socket);
      this.#run?.connect(webSocket);
    });
  }

  async answer(request: CoordinatorRequest): Promise<object> {
    switch (request.do) {
      case 'listen':
        return this.#listen();
      case 'begin':
        return this.#begin(request.workers, request.steps, request.warmUpSteps);
      case 'end':
        await this.#run?.ended;
        return this.#measure();
      case 'result': {
        const weights = this.#run?.weights() ?? new Float32Array(0);
        const bytes = Buffer.from(weights.buffer, weights.byteOffset, weights.byteLength);
        return { base64: bytes.toString('base64') };
      }
      default:
        return request satisfies never;
    }
  }

  close(): void {
    for (const client of this.#server.clients) client.terminate();
    this.#server.close();
  }

  async #listen(): Promise<Listening> {
    if (this.#server.address() === null) await new Promise((resolve) => this.#server.once('listening', resolve));
    const { version, notes } = this.#coordinator;
    return { port: (this.#server.address() as AddressInfo).port, version, notes };
  }

  #begin(workers: number, steps: number, warmUpSteps: number): object {
    this.#sockets.clear();
    this.#steps = 0;
    this.#run = this.#coordinator.begin(workers, warmUpSteps + steps, () => {
      this.#steps += 1;
      if (this.#steps === warmUpSteps) this.#started = { atMs: performance.now(), cpu: process.cpuUsage() };
    });
    return {};
  }

  #measure(): Burst {
    const ms = performance.now() - this.#started.atMs;
    const { user, system } = process.cpuUsage(this.#started.cpu);
    const sockets = [...this.#sockets];
    return {
      ms,
      cpuMs: (user + system) / 1000,
      residentBytes: process.memoryUsage.rss(),
      bytesSent: sockets.reduce((sum, socket) => sum + socket.bytesWritten, 0),
      bytesReceived: sockets.reduce((sum, socket) => sum + socket.bytesRead, 0),
    };
  }
}
