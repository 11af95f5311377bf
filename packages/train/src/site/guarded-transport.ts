/** The transport of one worker's socket, which is closed with the reason if the worker exceeds its budgets. */
import type { Socket } from 'node:net';
import {
  type Closing,
  type CoordinatorMessage,
  type CoordinatorTransport,
  type MessageOf,
  type Transport,
  type TransportListener,
  type VectorStream,
  type WorkerMessage,
  webSocketTransport,
} from '@lockstep/protocol';
import { type Clock, leastBytesPerMs } from '@lockstep/training';
import type { WebSocket } from 'ws';
import type { Traffic } from '../worker-pool.ts';
import { busyMessage, busyRetryMs, type Guesses, type Rate, TokenBucket, type TurnedAwayReason } from './limiter.ts';

export interface GuardOptions {
  readonly maxFrameBytes: number;
  /** The most that the answer to a task takes. */
  readonly answer: AnswerSize;
  /** Bytes that may wait for a worker that does not read. */
  readonly maxQueuedBytes: number;
  /** How often a worker shows that it is there. */
  readonly heartbeatMs: number;
  readonly clock: Clock;
  /** The token that joining needs. */
  readonly token: string | undefined;
  /** Stands for the token; the run knows the token alone. */
  readonly code?: string | undefined;
  readonly guesses: Guesses;
  readonly onTurnedAway: (reason: TurnedAwayReason) => void;
}

/** A socket with its source, and callbacks for its worker's welcome and for the end. */
export interface GuardedSocket {
  readonly webSocket: WebSocket;
  readonly socket: Socket;
  readonly address: string;
  readonly onWelcome: () => void;
  readonly onEnding: () => void;
}

/** RFC 6455: the longest header of a frame from a client. */
const frameHeaderBytes = 14;
const numericsCheck = 'numerics check';
const ping = 'ping';

export class GuardedTransport implements CoordinatorTransport {
  readonly #inner: CoordinatorTransport;
  readonly #options: GuardOptions;
  readonly #guarded: GuardedSocket;
  #budget: ConnectionBudget;
  #isWelcome = false;
  #isCut = false;
  #arrivedAtMs: number;
  /** That have arrived there, by its own account. */
  #deliveredBytes = 0;
  /** Bytes of the message that is being delivered. */
  #frameBytes = 0;
  /** Ends the wait of a `hello` whose code is not compared yet. */
  #cancelHello = (): void => {};

  constructor(guarded: GuardedSocket, options: GuardOptions) {
    const { webSocket, socket } = guarded;
    this.#options = options;
    this.#guarded = guarded;
    this.#budget = new ConnectionBudget(newcomerLimits, options.clock.nowMs);
    this.#arrivedAtMs = options.clock.nowMs();
    socket.on('data', (chunk: Buffer) => this.#charge({ bytes: chunk.byteLength }));
    for (const event of ['ping', 'pong'] as const) webSocket.on(event, () => this.#charge({ messages: 1 }));
    // Charged before the transport decodes it.
    webSocket.on('message', (data: ArrayBuffer) => {
      this.#frameBytes = data.byteLength + frameHeaderBytes;
      this.#charge({ messages: 1, bytes: socketsCountBytes ? 0 : this.#frameBytes });
    });
    this.#inner = webSocketTransport(webSocket, {
      side: 'coordinator',
      remote: `${socket.remoteAddress ?? 'unknown'}:${socket.remotePort ?? 0}`,
      maxFrameBytes: options.maxFrameBytes,
      receivedBytes: socketsCountBytes ? () => socket.bytesRead : undefined,
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

  listen(listener: TransportListener<WorkerMessage>): void {
    this.#inner.listen({
      onMessage: (message) => {
        this.#noteAnswer(message);
        if (message.type !== 'hello') listener.onMessage(message);
        else this.#checkHello(message, listener);
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

  /** Whether not too much waits for this worker; else its socket ends. */
  #keepsReading(): boolean {
    if (this.#inner.bufferedBytes <= this.#options.maxQueuedBytes) return true;
    this.#cut(`reads too little: ${this.#inner.bufferedBytes} bytes wait for it`);
    this.#guarded.webSocket.terminate();
    return false;
  }

  close(code: number, reason: string): void {
    this.#inner.close(code, reason);
  }

  /** On a narrow link a worker hears of the end when it has read what was sent before: it has its time for that. */
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

  #charge(amount: { readonly messages?: number; readonly bytes?: number }): void {
    this.#arrivedAtMs = this.#options.clock.nowMs();
    if (this.#isCut || this.#budget.charge(amount)) return;
    this.#cut(
      this.#isWelcome
        ? 'flood: expected the results of tasks, got more messages or bytes than those explain'
        : 'flood: expected hello and nothing else before the welcome, got more',
    );
  }

  #cut(reason: string): void {
    this.#isCut = true;
    this.#options.onTurnedAway('flood');
    this.#inner.close(1008, reason);
    // Nothing more is read; the socket ends when it has had its time to answer the close.
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
        if (message.code === 'token' || message.code === 'full') this.#options.onTurnedAway(message.code);
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
        return;
    }
  }

  #noteAnswer(message: WorkerMessage): void {
    if (message.type === 'gradient') {
      this.#budget.beginAnswer(shardKey(message), this.#frameBytes);
    } else if (message.type === 'taskError') {
      this.#budget.answer(shardKey(message), this.#frameBytes);
    } else if (message.type === 'numericsResult') {
      this.#budget.beginAnswer(numericsCheck, this.#frameBytes);
    } else if (message.type === 'chunk') {
      this.#budget.continueAnswer(this.#frameBytes);
    } else if (message.type === 'pong') {
      this.#budget.answer(ping, this.#frameBytes);
    } else if (message.type === 'ping') {
      this.#deliveredBytes = message.receivedBytes ?? 0;
    }
  }

  /**
   * Passes a `hello` on, with the token if it has the code: the run knows the token alone, and refuses a wrong one itself.
   * A client that guesses codes is delayed.
   */
  #checkHello(hello: MessageOf<'hello'>, listener: TransportListener<WorkerMessage>): void {
    const { token, code, guesses } = this.#options;
    if (token === undefined || hello.token === undefined) {
      listener.onMessage(hello);
      return;
    }
    const expected = code === undefined ? [token] : [token, code];
    this.#cancelHello = guesses.check(this.#guarded.address, expected, hello.token, (result) => {
      if (result === 'busy') this.#turnBack();
      else listener.onMessage(result === 'right' ? { ...hello, token } : hello);
    });
  }

  #turnBack(): void {
    this.#options.onTurnedAway('token');
    this.#inner.send({ type: 'refuse', code: 'busy', message: busyMessage, retryAfterMs: busyRetryMs });
    this.#inner.close(1008, busyMessage);
  }
}

function shardKey({ step, lo, n }: { readonly step: number; readonly lo: number; readonly n: number }): string {
  return `${step} ${lo} ${n}`;
}

/** The most that one answer takes. */
export interface AnswerSize {
  readonly messages: number;
  readonly bytes: number;
}

export interface BudgetLimits {
  readonly messages: Rate;
  readonly bytes: Rate;
  readonly answer: AnswerSize;
}

/** Requests of older steps get no answer any more. */
const stepsKept = 64;

/**
 * Limits what one connection may send: the answers to what it was asked for, and a little besides.
 *
 * Everything is charged as it arrives, before anything is decoded; an answer that was asked for is refunded. Until then the
 * account may be overdrawn by as many messages and bytes as all open requests explain.
 */
export class ConnectionBudget {
  readonly #answer: AnswerSize;
  readonly #messages: TokenBucket;
  readonly #bytes: TokenBucket;
  /** By what identifies the answer: the step that it is for. */
  readonly #open = new Map<string, number>();
  /** Chunks due of the vector that was begun last, if it was asked for. */
  #chunksDue = 0;

  constructor({ messages, bytes, answer }: BudgetLimits, nowMs: () => number) {
    this.#answer = answer;
    this.#messages = new TokenBucket(messages, nowMs);
    this.#bytes = new TokenBucket(bytes, nowMs);
  }

  /** The connection is asked for something. @param step of a task; requests of old steps are forgotten */
  ask(request: string, step = Number.POSITIVE_INFINITY): void {
    this.#open.set(request, step);
    if (step === Number.POSITIVE_INFINITY) return;
    for (const [key, askedIn] of this.#open) if (askedIn < step - stepsKept) this.#open.delete(key);
  }

  /** Charges bytes that have arrived, or a complete message; returns whether the connection stays within its budget. */
  charge({ messages = 0, bytes = 0 }: { readonly messages?: number; readonly bytes?: number }): boolean {
    this.#messages.spend(messages);
    this.#bytes.spend(bytes);
    const { size } = this.#open;
    const answer = this.#answer;
    return this.#messages.level + size * answer.messages >= 0 && this.#bytes.level + size * answer.bytes >= 0;
  }

  /** Refunds a message that was the answer to a request, if the request was open; returns whether it was. */
  answer(request: string, bytes: number): boolean {
    if (!this.#open.delete(request)) return false;
    this.#refund(bytes);
    return true;
  }

  /** As `answer` for the first message of a vector, whose chunks follow, with other messages between them. */
  beginAnswer(request: string, bytes: number): void {
    this.#chunksDue = this.answer(request, bytes) ? this.#answer.messages - 1 : 0;
  }

  /** Refunds a chunk if its vector was asked for and is not longer than it may be. */
  continueAnswer(bytes: number): void {
    if (this.#chunksDue === 0) return;
    this.#chunksDue -= 1;
    this.#refund(bytes);
  }

  #refund(bytes: number): void {
    this.#messages.refund(1);
    this.#bytes.refund(bytes);
  }
}

export interface ClosingTimes {
  readonly closedAtMs: number;
  /** Bytes that its worker had still to read then; 0 if it need not. */
  readonly unreadBytes: number;
  /** When bytes last arrived from it. */
  readonly arrivedAtMs: number;
  /** How often a worker shows that it is there. */
  readonly heartbeatMs: number;
}

/** A socket that has not answered a close by then is cut; a frozen worker never answers. */
export const closeTimeoutMs = 1_000;
/** Longest time for a worker that has much to read first. */
export const mostClosingMs = 30_000;
/** A busy machine misses a heartbeat. */
const silentHeartbeats = 2;

/** When a socket is cut that has not closed by then. */
export function cutAtMs({ closedAtMs, unreadBytes, arrivedAtMs, heartbeatMs }: ClosingTimes): number {
  const answerAtMs = closedAtMs + closeTimeoutMs;
  const readAtMs = Math.min(answerAtMs + unreadBytes / leastBytesPerMs, closedAtMs + mostClosingMs);
  const silentAtMs = arrivedAtMs + silentHeartbeats * heartbeatMs + closeTimeoutMs;
  return Math.max(answerAtMs, Math.min(readAtMs, silentAtMs));
}

/** Cuts a socket that closes, when its time is over. @param times asked each time that this may be */
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

/** Before its welcome a client sends `hello`, and its socket's own pings. */
export const newcomerLimits: BudgetLimits = {
  messages: { capacity: 8, perSecond: 1 },
  bytes: { capacity: 16 * 1024, perSecond: 1024 },
  answer: { messages: 1, bytes: 0 },
};

/** Bytes of an answer besides the numbers of its vector, and of each of its chunks. */
const answerOverheadBytes = 64 * 1024;
const chunkOverheadBytes = 1024;

/** The most that one answer takes: a vector, in its chunks. */
export function answerSize(vectorBytes: number, chunkBytes: number): AnswerSize {
  const messages = Math.max(1, Math.ceil(vectorBytes / chunkBytes));
  return { messages, bytes: vectorBytes + messages * chunkOverheadBytes + answerOverheadBytes };
}

/**
 * After its welcome a worker sends, besides its answers, pings, messages about itself, and answers that are no longer
 * wanted.
 */
export function memberLimits(answer: AnswerSize): BudgetLimits {
  const { messages, bytes } = answer;
  return {
    messages: { capacity: 56 + 8 * messages, perSecond: 15 + messages },
    bytes: { capacity: 8 * bytes, perSecond: bytes + 64 * 1024 },
    answer,
  };
}

/** Weights and tasks of two steps may wait, and as much again while a worker comes back to reading. */
const maxQueuedSteps = 4;
const extraQueueBytes = 1024 * 1024;

/** @param batchBytes of all samples of a step */
export function maxQueuedBytes(vectorBytes: number, batchBytes: number): number {
  return maxQueuedSteps * (vectorBytes + batchBytes) + extraQueueBytes;
}

/** Bun's sockets count nothing once they are WebSockets. */
export const socketsCountBytes = process.versions['bun'] === undefined;

/** Counts the bytes over sockets: WebSocket frames and HTTP headers included, if the engine's sockets count them. */
export class TrafficCounter {
  readonly #countsSockets: boolean;
  readonly #open = new Set<() => Traffic>();
  #closed: Traffic = { bytesSent: 0, bytesReceived: 0 };

  /** @param countsSockets whether sockets count their bytes; else those of messages are counted */
  constructor(countsSockets = socketsCountBytes) {
    this.#countsSockets = countsSockets;
  }

  add(socket: Socket, transport: Pick<Transport, 'sentBytes' | 'receivedBytes'>): void {
    const traffic = this.#countsSockets
      ? () => ({ bytesSent: socket.bytesWritten, bytesReceived: socket.bytesRead })
      : () => ({ bytesSent: transport.sentBytes ?? 0, bytesReceived: transport.receivedBytes ?? 0 });
    this.#open.add(traffic);
    socket.once('close', () => {
      this.#open.delete(traffic);
      this.#closed = sum(this.#closed, traffic());
    });
  }

  total(): Traffic {
    return [...this.#open].reduce((total, traffic) => sum(total, traffic()), this.#closed);
  }
}

function sum(one: Traffic, other: Traffic): Traffic {
  return {
    bytesSent: one.bytesSent + other.bytesSent,
    bytesReceived: one.bytesReceived + other.bytesReceived,
  };
}
