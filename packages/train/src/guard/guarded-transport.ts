/** The transport of one worker's socket that keeps to its budgets: a socket beyond them is closed with the reason. */
import type { Socket } from 'node:net';
import {
  type Closing,
  type CoordinatorMessage,
  type CoordinatorTransport,
  type MessageOf,
  type TransportListener,
  type VectorStream,
  type WorkerMessage,
  webSocketTransport,
} from '@lockstep/protocol';
import type { Clock } from '@lockstep/training';
import type { WebSocket } from 'ws';
import { socketsCountBytes } from '../http/traffic-counter.ts';
import { cutInTime } from './closing-time.ts';
import { type AnswerSize, ConnectionBudget } from './connection-budget.ts';
import { busyMessage, busyRetryMs, type Guesses } from './guesses.ts';
import type { TurnedAwayReason } from './turned-away.ts';
import { memberLimits, newcomerLimits } from './worker-limits.ts';

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

/** Where a socket comes from, and what to call once its worker has been welcomed, and told of the end. */
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
  /** Of the message that is being delivered. */
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
