/** The transport of one worker's socket, which is closed with the reason if the worker exceeds its budgets. */
import type { Socket } from 'node:net';
import type { Clock } from '@lockstep/protocol';
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
import { leastBytesPerMs } from '@lockstep/rules';
import type { WebSocket } from 'ws';
import type { Traffic } from '../worker-pool.ts';
import { busyMessage, busyRetryMs, type Guesses, type Rate, TokenBucket, type TurnedAwayReason } from './limiter.ts';

export interface GuardOptions {
  readonly maxFrameBytes: number;
  /** The maximum size of the answer to a task. */
  readonly answer: AnswerSize;
  /** Maximum bytes queued for a worker that does not read. */
  readonly maxQueuedBytes: number;
  /** Interval at which a worker shows that it is alive. */
  readonly heartbeatMs: number;
  readonly clock: Clock;
  /** The token for joining. */
  readonly token: string | undefined;
  /** Accepted in place of the token; the run knows only the token. */
  readonly code?: string | undefined;
  readonly guesses: Guesses;
  readonly onTurnedAway: (reason: TurnedAwayReason) => void;
}

/** A socket with its source, and callbacks for its worker's welcome and for its end. */
export interface GuardedSocket {
  readonly webSocket: WebSocket;
  readonly socket: Socket;
  readonly address: string;
  readonly onWelcome: () => void;
  readonly onEnding: () => void;
}

/** RFC 6455: the longest header of a client's frame. */
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
  /** Bytes that have arrived at the worker, by its own account. */
  #deliveredBytes = 0;
  /** Bytes of the message that is being delivered. */
  #frameBytes = 0;
  /** Cancels the wait of a `hello` whose code has not been compared yet. */
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

  /** Whether the queue for this worker is short enough; otherwise its socket is closed. */
  #keepsReading(): boolean {
    if (this.#inner.bufferedBytes <= this.#options.maxQueuedBytes) return true;
    this.#cut(`reads too little: ${this.#inner.bufferedBytes} bytes wait for it`);
    this.#guarded.webSocket.terminate();
    return false;
  }

  close(code: number, reason: string): void {
    this.#inner.close(code, reason);
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
   * Passes a `hello` on, replacing a valid code by the token: the run knows only the token, and refuses a wrong one
   * itself. A client that guesses codes is delayed.
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

/** The maximum size of one answer. */
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
 * Limits what one connection may send: the answers to its requests, and a little more.
 *
 * Everything is charged as it arrives, before anything is decoded; a requested answer is refunded. Until then, the
 * account may be overdrawn by as many messages and bytes as all open requests explain.
 */
export class ConnectionBudget {
  readonly #answer: AnswerSize;
  readonly #messages: TokenBucket;
  readonly #bytes: TokenBucket;
  /** Requests by key; the value is the step that the answer is for. */
  readonly #open = new Map<string, number>();
  /** Remaining chunks of the last vector that was begun, if it was requested. */
  #chunksDue = 0;

  constructor({ messages, bytes, answer }: BudgetLimits, nowMs: () => number) {
    this.#answer = answer;
    this.#messages = new TokenBucket(messages, nowMs);
    this.#bytes = new TokenBucket(bytes, nowMs);
  }

  /** Records a request to the connection. @param step of a task; requests of old steps are forgotten */
  ask(request: string, step = Number.POSITIVE_INFINITY): void {
    this.#open.set(request, step);
    if (step === Number.POSITIVE_INFINITY) return;
    for (const [key, askedIn] of this.#open) if (askedIn < step - stepsKept) this.#open.delete(key);
  }

  /** Charges arrived bytes or a complete message; returns whether the connection stays within its budget. */
  charge({ messages = 0, bytes = 0 }: { readonly messages?: number; readonly bytes?: number }): boolean {
    this.#messages.spend(messages);
    this.#bytes.spend(bytes);
    const { size } = this.#open;
    const answer = this.#answer;
    return this.#messages.level + size * answer.messages >= 0 && this.#bytes.level + size * answer.bytes >= 0;
  }

  /** Refunds a message if it answers an open request; returns whether it does. */
  answer(request: string, bytes: number): boolean {
    if (!this.#open.delete(request)) return false;
    this.#refund(bytes);
    return true;
  }

  /** Like `answer`, for the first message of a vector, whose chunks follow, perhaps between other messages. */
  beginAnswer(request: string, bytes: number): void {
    this.#chunksDue = this.answer(request, bytes) ? this.#answer.messages - 1 : 0;
  }

  /** Refunds a chunk if its vector was requested and is not longer than allowed. */
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
  /** Bytes that the worker still had to read at that time; 0 if it need not read them. */
  readonly unreadBytes: number;
  /** When bytes from the worker last arrived. */
  readonly arrivedAtMs: number;
  /** Interval at which a worker shows that it is alive. */
  readonly heartbeatMs: number;
}

/** A socket that has not answered a close by then is cut; a frozen worker never answers. */
export const closeTimeoutMs = 1_000;
/** Longest time for a worker that has much to read first. */
export const mostClosingMs = 30_000;
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

/** Before its welcome, a client sends `hello` and its socket's own pings. */
export const newcomerLimits: BudgetLimits = {
  messages: { capacity: 8, perSecond: 1 },
  bytes: { capacity: 16 * 1024, perSecond: 1024 },
  answer: { messages: 1, bytes: 0 },
};

/** Bytes of an answer besides the numbers of its vector, and of each of its chunks. */
const answerOverheadBytes = 64 * 1024;
const chunkOverheadBytes = 1024;

/** The maximum size of one answer: a vector, in its chunks. */
export function answerSize(vectorBytes: number, chunkBytes: number): AnswerSize {
  const messages = Math.max(1, Math.ceil(vectorBytes / chunkBytes));
  return { messages, bytes: vectorBytes + messages * chunkOverheadBytes + answerOverheadBytes };
}

/**
 * After its welcome, a worker sends not only its answers but also pings, messages about itself, and answers that are no
 * longer wanted.
 */
export function memberLimits(answer: AnswerSize): BudgetLimits {
  const { messages, bytes } = answer;
  return {
    messages: { capacity: 56 + 8 * messages, perSecond: 15 + messages },
    bytes: { capacity: 8 * bytes, perSecond: bytes + 64 * 1024 },
    answer,
  };
}

/** Weights and tasks of two steps may be queued, and as much again until a worker resumes reading. */
const maxQueuedSteps = 4;
const extraQueueBytes = 1024 * 1024;

/** @param batchBytes of all samples of a step */
export function maxQueuedBytes(vectorBytes: number, batchBytes: number): number {
  return maxQueuedSteps * (vectorBytes + batchBytes) + extraQueueBytes;
}

/** Bun's sockets count no bytes once they are WebSockets. */
export const socketsCountBytes = process.versions['bun'] === undefined;

/** Counts the bytes over sockets, including WebSocket frames and HTTP headers if the engine's sockets count them. */
export class TrafficCounter {
  readonly #countsSockets: boolean;
  readonly #open = new Set<() => Traffic>();
  #closed: Traffic = { bytesSent: 0, bytesReceived: 0 };

  /** @param countsSockets whether sockets count their bytes; otherwise those of messages are counted */
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
