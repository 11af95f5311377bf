/** The sockets of workers and viewers: how they open, what a worker's may send, and how it closes. */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { bytesPerSample } from '@lockstep/data';
import { parameterCount, parseModel } from '@lockstep/nn';
import {
  type Clock,
  type Closing,
  type CoordinatorMessage,
  type CoordinatorTransport,
  type MessageOf,
  subprotocol,
  type Transport,
  type TransportListener,
  type VectorStream,
  type WorkerMessage,
  watchPath,
  watchSubprotocol,
  webSocketTransport,
} from '@lockstep/protocol';
import { addTraffic, noTraffic, type Report } from '@lockstep/record';
import { defaultLimits, leastBytesPerMs, type RunSetup } from '@lockstep/rules';
import { systemClock } from '@lockstep/worker';
import { FrameMemory, frameMemoryHeader } from '@lockstep/worker/internal';
import { type WebSocket, WebSocketServer } from 'ws';
import {
  type AnswerSize,
  busyMessage,
  busyRetryMs,
  ConnectionBudget,
  clientOf,
  type Guesses,
  Limiter,
  memberLimits,
  newcomerLimits,
  type Rate,
  type TurnedAwayCounts,
} from './limiter.ts';
import { pathOf } from './pages.ts';
import { type Connections, closeTimeoutMs, rejectUpgrade } from './server.ts';

/** Who may join, whatever runs on the server. */
export interface Door {
  /** The token for joining. */
  readonly token?: string | undefined;
  /** Accepted in place of the token; the run knows only the token. */
  readonly code?: string | undefined;
  readonly guesses: Guesses;
  readonly turnedAway: TurnedAwayCounts;
}

export interface SocketOptions extends Door {
  readonly maxFrameBytes: number;
  /** Bytes of all parameters, and of a chunk of them. */
  readonly vectorBytes: number;
  readonly chunkBytes: number;
  /** Bytes of all samples of a step. */
  readonly batchBytes: number;
  /** Interval at which a worker shows that it is alive. */
  readonly heartbeatMs: number;
  /** @param address by which the worker's connections are counted */
  readonly onConnection: (transport: CoordinatorTransport, address: string) => void;
  readonly onViewer: (socket: WebSocket, visit: Visit) => void;
}

/** A viewer's connection. */
export interface Visit {
  readonly address: string;
  /** Called when the viewer has shown that it may watch; until then, its socket may be cut to make room. */
  readonly settle: () => void;
}

const helloBytes = 64 * 1024;
/** Sizes while there is no run: a worker sends only its `hello`. */
export const helloSizes = {
  ...{ maxFrameBytes: helloBytes, vectorBytes: 0, chunkBytes: helloBytes, batchBytes: 0 },
  heartbeatMs: defaultLimits.heartbeatMs,
};

/** Sizes of the sockets of a run's workers. */
export function runSizes({ limits, model, plan, format: { sampleField, targetField } }: RunSetup) {
  const { maxFrameBytes, chunkBytes, heartbeatMs } = limits;
  const vectorBytes = parameterCount(parseModel(model)) * 4;
  const batchBytes = plan.batch * bytesPerSample({ samples: sampleField, targets: targetField });
  return { maxFrameBytes, chunkBytes, vectorBytes, batchBytes, heartbeatMs };
}

/** A viewer sends only actions and its token. */
const maxViewerFrameBytes = 4 * 1024;
/** Hundreds of tabs behind one router may return at the same moment, repeatedly. */
const handshakes: Rate = { capacity: 2_048, perSecond: 256 };
const longestHandshakeMs = 2_000;
const hasty = 'too many new connections from this address: try again in a few seconds';

export function createSockets(options: SocketOptions, connections: Connections) {
  const { maxFrameBytes, token, turnedAway } = options;
  const rates = new Limiter(handshakes, longestHandshakeMs, systemClock.nowMs);
  const traffic = new TrafficCounter();
  const guard = { ...options, ...workerSizes(options), clock: systemClock };
  const transports = new Set<GuardedTransport>();
  const workers = serverOf(subprotocol, maxFrameBytes, mostClosingMs);
  const viewers = serverOf(watchSubprotocol, maxViewerFrameBytes, closeTimeoutMs);
  /** Memory of workers on this machine, from the answer to their request until their socket is open. */
  const memories = new WeakMap<IncomingMessage, FrameMemory>();
  workers.on('headers', (headers, request) => {
    const memory = FrameMemory.open(request.headers[frameMemoryHeader]);
    if (!memory) return;
    memories.set(request, memory);
    headers.push(`${frameMemoryHeader}: ${memory.name}`);
  });

  const onViewer = (webSocket: WebSocket, request: IncomingMessage): void =>
    options.onViewer(webSocket, {
      address: clientOf(request, token),
      settle: () => connections.settle(request.socket),
    });
  const onWorker = (webSocket: WebSocket, request: IncomingMessage): void => {
    const { socket } = request;
    const address = clientOf(request, token);
    const onWelcome = (): void => connections.settle(socket);
    const onEnding = (): void => connections.letEnd(socket);
    const memory = memories.get(request);
    const transport = new GuardedTransport({ webSocket, socket, address, memory, onWelcome, onEnding }, guard);
    transports.add(transport);
    webSocket.once('close', () => {
      transports.delete(transport);
      memory?.close();
    });
    traffic.add(socket, transport, memory);
    options.onConnection(transport, address);
  };
  return {
    /** A client that opens too many sockets is delayed, and rejected only if too many of its own already wait. */
    upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
      const isViewer = pathOf(request) === watchPath;
      const [server, onSocket] = isViewer ? [viewers, onViewer] : [workers, onWorker];
      const open = (): void => server.handleUpgrade(request, socket, head, (webSocket) => onSocket(webSocket, request));
      const waitMs = rates.reserve(clientOf(request, token));
      if (waitMs === 0) open();
      else if (waitMs !== undefined) socket.once('close', systemClock.after(waitMs, open));
      else {
        turnedAway.hasty += 1;
        rejectUpgrade(socket, 429, hasty);
      }
    },
    traffic: () => traffic.total(),
    /** Accepts no further sockets, and asks every socket to close. */
    close(code: number, reason: string): void {
      for (const transport of transports) transport.close(code, reason);
      for (const viewer of viewers.clients) viewer.close(code, reason);
      for (const server of [workers, viewers]) server.close();
    },
  };
}

function serverOf(protocol: string, maxPayload: number, closeTimeout: number): WebSocketServer {
  const handleProtocols = (offered: Set<string>) => (offered.has(protocol) ? protocol : false);
  // A variable, since the types of ws lack `closeTimeout`.
  const options = { noServer: true, perMessageDeflate: false, maxPayload, closeTimeout, handleProtocols };
  return new WebSocketServer(options);
}

/** Bytes of an answer besides the numbers of its vector, and of each of its chunks. */
const answerOverheadBytes = 64 * 1024;
const chunkOverheadBytes = 1024;
/** Weights and tasks of two steps may be queued, and as much again until a worker resumes reading. */
const maxQueuedSteps = 4;
const extraQueueBytes = 1024 * 1024;

/** An answer is a vector, in its chunks. */
function workerSizes({ vectorBytes, chunkBytes, batchBytes }: SocketOptions) {
  const messages = Math.max(1, Math.ceil(vectorBytes / chunkBytes));
  const answer = { messages, bytes: vectorBytes + messages * chunkOverheadBytes + answerOverheadBytes };
  return { answer, maxQueuedBytes: maxQueuedSteps * (answer.bytes + batchBytes) + extraQueueBytes };
}

interface GuardOptions extends Door, Pick<SocketOptions, 'maxFrameBytes' | 'heartbeatMs'> {
  /** The maximum size of the answer to a task. */
  readonly answer: AnswerSize;
  /** Maximum bytes queued for a worker that does not read. */
  readonly maxQueuedBytes: number;
  readonly clock: Clock;
}

/** A socket with its source, and callbacks for its worker's welcome and for its end. */
interface GuardedSocket {
  readonly webSocket: WebSocket;
  readonly socket: Socket;
  readonly address: string;
  /** Memory through which long frames pass, if the worker is on this machine. */
  readonly memory?: FrameMemory | undefined;
  readonly onWelcome: () => void;
  readonly onEnding: () => void;
}

/** RFC 6455: the longest header of a client's frame. */
const frameHeaderBytes = 14;
/** Keys of requests, as a connection's budget counts them. */
const numericsCheck = 'numerics check';
const ping = 'ping';
const shardKey = ({ step, lo, n }: { readonly step: number; readonly lo: number; readonly n: number }): string =>
  `${step} ${lo} ${n}`;

/** The transport of one worker's socket, which is closed with the reason if the worker exceeds its budgets. */
export class GuardedTransport implements CoordinatorTransport {
  readonly #inner: CoordinatorTransport;
  readonly #options: GuardOptions;
  readonly #guarded: GuardedSocket;
  #budget: ConnectionBudget;
  #isWelcome = false;
  #isCut = false;
  #arrivedAtMs: number;
  /** Bytes that have arrived at the worker, by its own account. */
  #deliveredBytes = 0;
  /** Bytes of the message that is being delivered. */
  #frameBytes = 0;
  /** Cancels the wait of a `hello` whose code has not been compared yet. */
  #cancelHello = (): void => {};

  constructor(guarded: GuardedSocket, options: GuardOptions) {
    const { webSocket, socket, memory } = guarded;
    this.#options = options;
    this.#guarded = guarded;
    this.#budget = new ConnectionBudget(newcomerLimits, options.clock.nowMs);
    this.#arrivedAtMs = options.clock.nowMs();
    socket.on('data', (chunk: Buffer) => this.#charge(0, chunk.byteLength));
    for (const event of ['ping', 'pong'] as const) webSocket.on(event, () => this.#charge(1, 0));
    // Charged before the transport decodes it.
    webSocket.on('message', (data: ArrayBuffer) => {
      const shared = memory?.bulkLengthOf(data);
      this.#frameBytes = (shared ?? 0) + data.byteLength + frameHeaderBytes;
      this.#charge(1, socketsCountBytes ? (shared ?? 0) : this.#frameBytes);
    });
    this.#inner = webSocketTransport(webSocket, {
      side: 'coordinator',
      remote: `${socket.remoteAddress ?? 'unknown'}:${socket.remotePort ?? 0}`,
      maxFrameBytes: options.maxFrameBytes,
      receivedBytes: socketsCountBytes ? () => socket.bytesRead + (memory?.receivedBytes ?? 0) : undefined,
      shared: memory,
    });
  }

  get remote(): string {
    return this.#inner.remote;
  }

  get bufferedBytes(): number {
    return this.#inner.bufferedBytes;
  }

  get receivedBytes(): number | undefined {
    return this.#inner.receivedBytes;
  }

  get sentBytes(): number | undefined {
    return this.#inner.sentBytes;
  }

  get copiesStreams(): boolean | undefined {
    return this.#inner.copiesStreams;
  }

  listen(listener: TransportListener<WorkerMessage>): void {
    this.#inner.listen({
      memoryFor: (type, byteLength) => listener.memoryFor?.(type, byteLength),
      onMessage: (message) => {
        this.#noteAnswer(message);
        if (message.type === 'hello') this.#checkHello(message, (hello) => listener.onMessage(hello));
        else listener.onMessage(message);
      },
      onClose: (closing) => {
        this.#cancelHello();
        this.#closed(closing);
        listener.onClose(closing);
      },
    });
  }

  send(message: CoordinatorMessage): void {
    this.#noteRequest(message);
    if (this.#keepsReading()) this.#inner.send(message);
  }

  sendVector(stream: VectorStream<CoordinatorMessage>): void {
    const next = (): CoordinatorMessage | undefined => {
      const message = stream.next();
      if (message) this.#noteRequest(message);
      return message;
    };
    const sent = stream.sent?.bind(stream);
    if (this.#keepsReading()) this.#inner.sendVector({ next, ...(sent && { sent }) });
  }

  close(code: number, reason: string): void {
    this.#inner.close(code, reason);
  }

  /** Whether the queue for this worker is short enough; otherwise its socket is closed. */
  #keepsReading(): boolean {
    if (this.#inner.bufferedBytes <= this.#options.maxQueuedBytes) return true;
    this.#cut(`reads too little: ${this.#inner.bufferedBytes} bytes wait for it`);
    this.#guarded.webSocket.terminate();
    return false;
  }

  /** A worker on a narrow link must read everything sent before the end first, so it gets time for that. */
  #closed({ code, by }: Closing): void {
    const { webSocket, onEnding } = this.#guarded;
    if (webSocket.readyState === webSocket.CLOSED) return;
    const isEnding = this.#isWelcome && by === 'local' && code === 1000;
    if (isEnding) onEnding();
    const { clock, heartbeatMs } = this.#options;
    const unreadBytes = isEnding ? Math.max(0, (this.#inner.sentBytes ?? 0) - this.#deliveredBytes) : 0;
    const closed = { closedAtMs: clock.nowMs(), unreadBytes, heartbeatMs };
    cutInTime(webSocket, clock, () => ({ ...closed, arrivedAtMs: this.#arrivedAtMs }));
  }

  #charge(messages: number, bytes: number): void {
    this.#arrivedAtMs = this.#options.clock.nowMs();
    if (this.#isCut || this.#budget.charge(messages, bytes)) return;
    this.#cut(
      this.#isWelcome
        ? 'flood: expected the results of tasks, got more messages or bytes than those explain'
        : 'flood: expected hello and nothing else before the welcome, got more',
    );
  }

  #cut(reason: string): void {
    this.#isCut = true;
    this.#options.turnedAway.flood += 1;
    this.#inner.close(1008, reason);
    // Stops reading; the socket ends after it has had its time to answer the close.
    this.#guarded.webSocket.pause();
  }

  #noteRequest(message: CoordinatorMessage): void {
    switch (message.type) {
      case 'welcome':
        this.#isWelcome = true;
        this.#budget = new ConnectionBudget(memberLimits(this.#options.answer), this.#options.clock.nowMs);
        this.#guarded.onWelcome();
        return;
      case 'refuse':
        if (message.code === 'token' || message.code === 'full') this.#options.turnedAway[message.code] += 1;
        return;
      case 'numericsCheck':
        this.#budget.ask(numericsCheck);
        return;
      case 'task':
        this.#budget.ask(shardKey(message), message.step);
        return;
      case 'ping':
        this.#budget.ask(ping);
        return;
      default:
    }
  }

  #noteAnswer(message: WorkerMessage): void {
    const [budget, bytes] = [this.#budget, this.#frameBytes];
    switch (message.type) {
      case 'gradient':
        budget.answer(shardKey(message), bytes, true);
        return;
      case 'numericsResult':
        budget.answer(numericsCheck, bytes, true);
        return;
      case 'chunk':
        budget.continueAnswer(bytes);
        return;
      case 'taskError':
        budget.answer(shardKey(message), bytes);
        return;
      case 'pong':
        budget.answer(ping, bytes);
        return;
      case 'ping':
        this.#deliveredBytes = message.receivedBytes ?? 0;
        return;
      default:
    }
  }

  /**
   * Passes a `hello` on, replacing a valid code by the token: the run knows only the token, and refuses a wrong one
   * itself. A client that guesses codes is delayed.
   */
  #checkHello(hello: MessageOf<'hello'>, pass: (hello: MessageOf<'hello'>) => void): void {
    const { token, code, guesses, turnedAway } = this.#options;
    if (token === undefined || hello.token === undefined) {
      pass(hello);
      return;
    }
    const expected = code === undefined ? [token] : [token, code];
    this.#cancelHello = guesses.check(this.#guarded.address, expected, hello.token, (result) => {
      if (result !== 'busy') {
        pass(result === 'right' ? { ...hello, token } : hello);
        return;
      }
      turnedAway.token += 1;
      this.#inner.send({ type: 'refuse', code: 'busy', message: busyMessage, retryAfterMs: busyRetryMs });
      this.#inner.close(1008, busyMessage);
    });
  }
}

interface ClosingTimes {
  readonly closedAtMs: number;
  /** Bytes that the worker still had to read at that time; 0 if it need not read them. */
  readonly unreadBytes: number;
  /** When bytes from the worker last arrived. */
  readonly arrivedAtMs: number;
  /** Interval at which a worker shows that it is alive. */
  readonly heartbeatMs: number;
}

/** Longest time for a worker that has much to read first. */
const mostClosingMs = 30_000;
/** A busy machine may miss a heartbeat. */
const silentHeartbeats = 2;

/** When to cut a socket that has not closed by then. */
export function cutAtMs({ closedAtMs, unreadBytes, arrivedAtMs, heartbeatMs }: ClosingTimes): number {
  const answerAtMs = closedAtMs + closeTimeoutMs;
  const readAtMs = Math.min(answerAtMs + unreadBytes / leastBytesPerMs, closedAtMs + mostClosingMs);
  const silentAtMs = arrivedAtMs + silentHeartbeats * heartbeatMs + closeTimeoutMs;
  return Math.max(answerAtMs, Math.min(readAtMs, silentAtMs));
}

/** Cuts a closing socket when its time is over. @param times read again each time that it may be over */
export function cutInTime(
  webSocket: Pick<WebSocket, 'terminate' | 'once'>,
  clock: Clock,
  times: () => ClosingTimes,
): void {
  let cancel = (): void => {};
  const look = (): void => {
    const leftMs = cutAtMs(times()) - clock.nowMs();
    if (leftMs <= 0) webSocket.terminate();
    else cancel = clock.after(leftMs, look);
  };
  look();
  webSocket.once('close', () => cancel());
}

/** Bun's sockets count no bytes once they are WebSockets. */
const socketsCountBytes = process.versions['bun'] === undefined;

/** Counts the bytes over sockets, including WebSocket frames and HTTP headers if the engine's sockets count them. */
export class TrafficCounter {
  readonly #countsSockets: boolean;
  readonly #open = new Set<() => Report['wire']>();
  #closed = noTraffic;

  /** @param countsSockets whether sockets count their bytes; otherwise those of messages are counted */
  constructor(countsSockets = socketsCountBytes) {
    this.#countsSockets = countsSockets;
  }

  /** @param memory through which frames of the socket's connection pass */
  add(
    socket: Socket,
    transport: Pick<Transport, 'sentBytes' | 'receivedBytes'>,
    memory: Pick<FrameMemory, 'sentBytes' | 'receivedBytes'> = { sentBytes: 0, receivedBytes: 0 },
  ): void {
    const traffic = this.#countsSockets
      ? () => ({
          bytesSent: socket.bytesWritten + memory.sentBytes,
          bytesReceived: socket.bytesRead + memory.receivedBytes,
        })
      : () => ({ bytesSent: transport.sentBytes ?? 0, bytesReceived: transport.receivedBytes ?? 0 });
    this.#open.add(traffic);
    socket.once('close', () => {
      this.#open.delete(traffic);
      this.#closed = addTraffic(this.#closed, traffic());
    });
  }

  total(): Report['wire'] {
    return [...this.#open].reduce((total, traffic) => addTraffic(total, traffic()), this.#closed);
  }
}
