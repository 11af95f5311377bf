/** Connections between a worker and the coordinator: their rules, inbox and pacing, and a transport over a WebSocket. */
import { decode, encode, ProtocolError } from './codec.ts';
import { toMessageText } from './fields.ts';
import type { CoordinatorMessage, Message, Side, WorkerMessage } from './messages.ts';

declare const queueMicrotask: (run: () => void) => void;
declare const setTimeout: (run: () => void, delayMs: number) => unknown;
declare const TextEncoder: new () => {
  encodeInto(text: string, target: Uint8Array): { readonly read: number };
};

/** Why a connection ended. Codes are WebSocket close codes (RFC 6455, section 7.4.1). */
export interface Closing {
  /** 1000 normal, 1001 going away, 1002 bad frame, 1003 text frame, 1006 connection lost, 1009 frame too large. */
  readonly code: number;
  /** One sentence, or empty if the peer gave no reason. */
  readonly reason: string;
  /** `local`: this end closed the connection, by `close` or because it refused what arrived. */
  readonly by: 'local' | 'remote';
}

export interface TransportListener<Receives extends Message> {
  /** Takes one checked message. Its bytes may be views into the frame: never write to them. */
  onMessage(message: Receives): void;
  /** Called exactly once, after the last message. */
  onClose(closing: Closing): void;
}

/** The messages of a vector. Each is made only when a connection has room for it. */
export interface VectorStream<Sends extends Message> {
  /** The next message; undefined at the end. */
  next(): Sends | undefined;
  /** Called once a connection no longer needs a message, if it can tell: the memory of its frame may then change. */
  sent?(message: Sends): void;
}

/**
 * One end of a connection. Every implementation keeps these rules:
 * - Messages arrive in the order sent, but vectors and their chunks wait while much is buffered, and other messages
 *   overtake them. None is delivered before `listen`; earlier arrivals wait for it.
 * - Nothing is delivered from inside `send`, `close` or `listen`.
 * - A frame that cannot be decoded closes the connection from this end, with the reason, and is not delivered.
 * - After `close` no message is delivered, and `onClose` follows without waiting for the peer.
 */
export interface Transport<Receives extends Message = Message, Sends extends Message = Message> {
  /** Description of the other end, for people. */
  readonly remote: string;
  /** Bytes accepted by `send` but not yet handed to the network, including waiting messages; of streams, those made. */
  readonly bufferedBytes: number;
  /** Bytes that have arrived, including unfinished frames if the platform reports them; undefined if not counted. */
  readonly receivedBytes?: number | undefined;
  /** Bytes of the messages handed to the network; undefined if not counted. */
  readonly sentBytes?: number | undefined;
  /** Starts delivery; called once. Throws an Error if called again. */
  listen(listener: TransportListener<Receives>): void;
  /** Queues a message, which must not change afterwards. Does nothing on a connection that has ended. */
  send(message: Sends): void;
  /** Sends a vector after earlier ones; other messages may overtake it. Does nothing on a connection that has ended. */
  sendVector(stream: VectorStream<Sends>): void;
  /** Ends the connection once buffered messages are sent; waiting vectors are dropped. Only the first call counts. */
  close(code: number, reason: string): void;
}

export type CoordinatorTransport = Transport<WorkerMessage, CoordinatorMessage>;
export type WorkerTransport = Transport<CoordinatorMessage, WorkerMessage>;
type TransportOf<S extends Side> = S extends 'worker' ? WorkerTransport : CoordinatorTransport;

/** Delivers what one end of a transport receives: in order, nothing lost before `listen`, `onClose` exactly once. */
export class Inbox<Receives extends Message> {
  readonly #defer: (run: () => void) => void;
  #undelivered: Receives[] = [];
  #listener: TransportListener<Receives> | undefined;
  #closing: Closing | undefined;
  #isDraining = false;
  #isClosingDelivered = false;

  /** @param defer runs a function soon, but never before `defer` returns */
  constructor(defer: (run: () => void) => void) {
    this.#defer = defer;
  }

  get hasEnded(): boolean {
    return this.#closing !== undefined;
  }

  listen(listener: TransportListener<Receives>): void {
    if (this.#listener !== undefined) throw new Error('transport: expected one listener, got a second one');
    this.#listener = listener;
    if (this.#undelivered.length > 0 || this.hasEnded) this.#defer(() => this.#drain());
  }

  /** Takes a message that has just arrived; drops it if the connection has ended. */
  deliver(message: Receives): void {
    if (this.hasEnded) return;
    this.#undelivered.push(message);
    this.#drain();
  }

  /** Decodes and delivers a frame from `from`; calls `close` if it is not a message that `from` may send. */
  deliverFrame(frame: Uint8Array, from: Side, close: (code: number, reason: string) => void): void {
    if (this.hasEnded) return;
    let message: Message;
    try {
      message = decode(frame, from);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      close(error.closeCode, error.message);
      return;
    }
    this.deliver(message as Receives);
  }

  /** Ends the connection; returns false if it had ended before. A local end drops undelivered messages. */
  end(closing: Closing): boolean {
    if (this.hasEnded) return false;
    this.#closing = closing;
    if (closing.by === 'local') this.#undelivered = [];
    this.#defer(() => this.#drain());
    return true;
  }

  #drain(): void {
    const listener = this.#listener;
    if (listener === undefined || this.#isDraining) return;
    this.#isDraining = true;
    try {
      for (let message = this.#undelivered.shift(); message !== undefined; message = this.#undelivered.shift()) {
        listener.onMessage(message);
      }
      if (this.#closing !== undefined && !this.#isClosingDelivered) {
        this.#isClosingDelivered = true;
        listener.onClose(this.#closing);
      }
    } finally {
      this.#isDraining = false;
    }
  }
}

/**
 * Bytes that may be buffered before vectors wait. Large enough to keep a connection within one machine busy, and small
 * enough to take less than a second on a link of 10 Mbit/s.
 */
export const pacedBytes = 1024 * 1024;

const vectorTypes: ReadonlySet<Message['type']> = new Set<Message['type']>([
  'numericsCheck',
  'numericsResult',
  'weights',
  'gradient',
  'chunk',
]);

/** A message, encoded for sending. */
interface Parcel<Payload> {
  readonly payload: Payload;
  readonly byteLength: number;
  /** Called once the connection no longer needs the payload, if it can tell. */
  readonly sent?: (() => void) | undefined;
}

/** Makes the next parcel of a vector; undefined at its end. */
type ParcelSource<Payload> = () => Parcel<Payload> | undefined;

/** Lets short messages pass between the chunks of vectors, which wait here while the connection has much buffered. */
export class PacedVectors<Payload> {
  /** Total size of the waiting parcels; parcels that a source has not made yet are not counted. */
  byteLength = 0;
  readonly #isFull: () => boolean;
  readonly #send: (parcel: Parcel<Payload>) => void;
  readonly #isOpen: () => boolean;
  #waiting: (Parcel<Payload> | ParcelSource<Payload>)[] = [];

  /**
   * @param isFull whether vectors must wait
   * @param send hands a message to the connection
   * @param isOpen false while all messages must wait; always open by default
   */
  constructor(isFull: () => boolean, send: (parcel: Parcel<Payload>) => void, isOpen = () => true) {
    this.#isFull = isFull;
    this.#send = send;
    this.#isOpen = isOpen;
  }

  get isWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** Sends a message, or queues it if it must wait. */
  push(type: Message['type'], parcel: Parcel<Payload>): void {
    const isUrgent = !vectorTypes.has(type);
    if (this.#isOpen() && (isUrgent || (!this.isWaiting && !this.#isFull()))) {
      this.#send(parcel);
      return;
    }
    this.#waiting.push(parcel);
    this.byteLength += parcel.byteLength;
  }

  /** Queues a vector whose parcels are made when there is room for them. */
  pushSource(source: ParcelSource<Payload>): void {
    this.#waiting.push(source);
    this.resume();
  }

  /** Sends waiting parcels until the connection is full; called when it opens, or has less buffered than before. */
  resume(): void {
    while (this.isWaiting && this.#isOpen() && !this.#isFull()) {
      const first = this.#waiting[0]!;
      const isSource = typeof first === 'function';
      const parcel = isSource ? first() : first;
      if (!isSource) this.byteLength -= first.byteLength;
      if (!isSource || !parcel) this.#waiting.shift();
      if (parcel) this.#send(parcel);
    }
  }

  clear(): void {
    this.#waiting = [];
    this.byteLength = 0;
  }
}

/** The part of the WHATWG WebSocket interface that is used; `ws` has the same part. */
export interface WebSocketLike {
  readonly readyState: number;
  readonly bufferedAmount: number;
  binaryType: string;
  /** @param sent called by `ws`, but never by a browser, when the data have been handed to the network */
  send(data: Uint8Array<ArrayBuffer>, sent?: () => void): void;
  close(code?: number, reason?: string): void;
  addEventListener(type: 'open', listener: () => void): void;
  addEventListener(type: 'message', listener: (event: { readonly data: unknown }) => void): void;
  addEventListener(type: 'close', listener: (event: { readonly code: number; readonly reason: string }) => void): void;
  addEventListener(type: 'error', listener: (event: object) => void): void;
}

interface WebSocketTransportOptions<S extends Side> {
  /** The side of this end; the other side's messages are expected. */
  readonly side: S;
  readonly remote: string;
  /**
   * A longer frame closes the connection with 1009. The whole frame is in memory by then, so in Node also pass the same
   * number to `ws` as `maxPayload`, which refuses a frame by its header alone. Default: no limit.
   */
  readonly maxFrameBytes?: number;
  /** Returns how many bytes have arrived so far, including unfinished frames. Default: counts whole frames only. */
  readonly receivedBytes?: (() => number) | undefined;
}

/**
 * Wraps a socket of the browser or of `ws` that is connecting or open, and owns it from then on.
 *
 * Messages sent before the socket opens go out when it does, and are lost if it never does. If the peer does not
 * answer a close, the socket (not the transport) stays open until the socket's own close timeout.
 */
export function webSocketTransport<S extends Side>(
  socket: WebSocketLike,
  options: WebSocketTransportOptions<S>,
): TransportOf<S> {
  return new SocketEnd(socket, options) as unknown as TransportOf<S>;
}

const connecting = 0;
const open = 1;

/** Polling interval for a browser's socket, which has no event for a drained buffer. */
const pollMs = 4;

class SocketEnd implements Transport {
  readonly remote: string;
  readonly #socket: WebSocketLike;
  readonly #options: WebSocketTransportOptions<Side>;
  readonly #inbox = new Inbox<Message>((run) => queueMicrotask(run));
  readonly #vectors = new PacedVectors<Uint8Array<ArrayBuffer>>(
    () => this.#socket.bufferedAmount >= pacedBytes || this.#unsentBytes >= pacedBytes,
    (parcel) => this.#hand(parcel),
    () => this.#socket.readyState === open,
  );
  /** Unconfirmed bytes of streams, if the socket confirms: `bufferedAmount` omits bytes the network took at once. */
  #unsentBytes = 0;
  #tellsSent = false;
  /** Total bytes of the whole frames that have arrived. */
  #framesBytes = 0;
  #sentBytes = 0;
  #isPolling = false;

  constructor(socket: WebSocketLike, options: WebSocketTransportOptions<Side>) {
    this.remote = options.remote;
    this.#socket = socket;
    this.#options = options;
    socket.binaryType = 'arraybuffer';
    socket.addEventListener('open', () => this.#resume());
    socket.addEventListener('message', (event) => this.#receive(event.data));
    socket.addEventListener('close', ({ code, reason }) => {
      this.#inbox.end({ code, reason: reason === '' ? '' : toMessageText(reason), by: 'remote' });
    });
    socket.addEventListener('error', (event) => this.#fail(event));
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedAmount + this.#vectors.byteLength;
  }

  get receivedBytes(): number {
    return this.#options.receivedBytes?.() ?? this.#framesBytes;
  }

  get sentBytes(): number {
    return this.#sentBytes;
  }

  listen(listener: TransportListener<Message>): void {
    this.#inbox.listen(listener);
  }

  send(message: Message): void {
    if (!this.#takesMessages) return;
    const payload = encode(message);
    this.#vectors.push(message.type, { payload, byteLength: payload.byteLength });
    this.#poll();
  }

  sendVector(stream: VectorStream<Message>): void {
    if (!this.#takesMessages) return;
    this.#vectors.pushSource(() => {
      const message = stream.next();
      if (!message) return undefined;
      const payload = encode(message);
      const sent = stream.sent && (() => stream.sent!(message));
      return { payload, byteLength: payload.byteLength, sent };
    });
    this.#poll();
  }

  close(code: number, reason: string): void {
    if (!this.#inbox.end({ code, reason, by: 'local' })) return;
    this.#vectors.clear();
    const shown = clipUtf8(toMessageText(reason), maxReasonBytes);
    try {
      this.#socket.close(code, shown);
    } catch {
      // A page may use only the codes 1000 and 3000 to 4999: there 1002 becomes 4002, and 1009 4009.
      this.#socket.close(code + 3000, shown);
    }
  }

  get #takesMessages(): boolean {
    return !this.#inbox.hasEnded && this.#socket.readyState <= open;
  }

  #hand({ payload, byteLength, sent }: Parcel<Uint8Array<ArrayBuffer>>): void {
    const isCounted = sent !== undefined && this.#tellsSent;
    if (isCounted) this.#unsentBytes += byteLength;
    this.#sentBytes += byteLength;
    this.#socket.send(payload, () => {
      this.#tellsSent = true;
      if (isCounted) this.#unsentBytes -= byteLength;
      sent?.();
      this.#resume();
    });
  }

  #resume(): void {
    if (!this.#vectors.isWaiting) return;
    if (this.#takesMessages) this.#vectors.resume();
    else this.#vectors.clear();
    this.#poll();
  }

  #poll(): void {
    if (this.#isPolling || !this.#vectors.isWaiting || this.#socket.readyState === connecting) return;
    this.#isPolling = true;
    setTimeout(() => {
      this.#isPolling = false;
      this.#resume();
    }, pollMs);
  }

  #receive(data: unknown): void {
    const { side, maxFrameBytes = Number.POSITIVE_INFINITY } = this.#options;
    if (!(data instanceof ArrayBuffer)) {
      this.close(1003, `frame: expected binary, got ${typeof data === 'string' ? 'text' : typeof data}`);
    } else if (data.byteLength > maxFrameBytes) {
      this.close(1009, `frame: expected at most ${maxFrameBytes} bytes, got ${data.byteLength}`);
    } else {
      this.#framesBytes += data.byteLength;
      const from = side === 'worker' ? 'coordinator' : 'worker';
      this.#inbox.deliverFrame(new Uint8Array(data), from, (code, reason) => this.close(code, reason));
    }
  }

  /** Ends the connection after an error event. Browsers give no details; `ws` does, and closes the socket itself. */
  #fail(event: object): void {
    const error: unknown = 'error' in event ? event.error : undefined;
    const errorCode = error instanceof Error && 'code' in error ? String(error.code) : '';
    const message = (error instanceof Error && error.message) || errorCode || 'the connection failed';
    this.#vectors.clear();
    if (errorCode.startsWith('WS_ERR_')) {
      const code = errorCode.startsWith('WS_ERR_UNSUPPORTED_') ? 1009 : 1002;
      this.#inbox.end({ code, reason: `frame: ${message}`, by: 'local' });
    } else {
      this.#inbox.end({ code: 1006, reason: toMessageText(message), by: 'remote' });
    }
  }
}

/** RFC 6455: a control frame carries at most 125 bytes, two of them the close code. */
const maxReasonBytes = 123;

/** The longest prefix of `text` that takes at most `maxBytes` bytes of UTF-8 and splits no character. */
export function clipUtf8(text: string, maxBytes: number): string {
  return text.slice(0, new TextEncoder().encodeInto(text, new Uint8Array(maxBytes)).read);
}
