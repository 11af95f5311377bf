/** Connections between a worker and the coordinator: their rules, what all ends share, and one over a WebSocket. */
import {
  decode,
  decodeParts,
  encode,
  type FrameParts,
  type FramePool,
  joinParts,
  noBytes,
  ProtocolError,
  partsOf,
} from './codec.ts';
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
  /**
   * Returns memory for the bytes of a message that is arriving, or undefined. The transport may write them there before
   * it checks the message, which is delivered at once if it is valid.
   */
  memoryFor?(type: Message['type'], byteLength: number): Uint8Array | undefined;
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
  /** Whether each message of a stream is copied into memory that the peer reads, before the next one is made. */
  readonly copiesStreams?: boolean | undefined;
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

/**
 * Bytes that may be buffered before vectors wait. Large enough to keep a connection within one machine busy, and small
 * enough to take less than a second on a link of 10 Mbit/s.
 */
export const pacedBytes = 1024 * 1024;

/** Vectors and messages that must not overtake them. */
const vectorTypes: ReadonlySet<Message['type']> = new Set<Message['type']>([
  'numericsCheck',
  'numericsResult',
  'weights',
  'gradient',
  'chunk',
  'goBack',
  'wentBack',
]);

/** A message, encoded for sending. */
export interface Parcel<Payload> {
  readonly payload: Payload;
  readonly byteLength: number;
  /** Called once the connection no longer needs the payload, if it can tell. */
  readonly sent?: (() => void) | undefined;
}

/**
 * Base of all ends of connections. Messages are delivered in order, none is lost before `listen`, and `onClose` is called
 * exactly once. Vectors wait while the connection has much buffered, so that short messages can pass between their
 * chunks.
 */
export abstract class TransportEnd<Receives extends Message, Sends extends Message, Payload>
  implements Transport<Receives, Sends>
{
  readonly remote: string;
  /** The side whose messages arrive. */
  readonly #peerSide: Side;
  #undelivered: Receives[] = [];
  #listener: TransportListener<Receives> | undefined;
  #closing: Closing | undefined;
  #isDraining = false;
  #isOver = false;
  /** Parcels of messages that must wait, and sources of vectors, which make parcels when there is room for them. */
  #waiting: (Parcel<Payload> | (() => Parcel<Payload> | undefined))[] = [];
  #waitingBytes = 0;

  constructor(side: Side, remote: string) {
    this.remote = remote;
    this.#peerSide = side === 'worker' ? 'coordinator' : 'worker';
  }

  /** Bytes handed over that may not have left yet. */
  protected abstract readonly handedBytes: number;
  /** Whether vectors must wait. */
  protected abstract readonly isFull: boolean;
  /** Whether messages can be handed over: all of them wait until then. */
  protected abstract readonly isReady: boolean;
  /** Runs a function soon, but never before `defer` returns. */
  protected abstract defer(run: () => void): void;
  /** @param isHanded whether the parcel is handed over at once, so that it may use the message's own bytes */
  protected abstract parcelOf(message: Sends, isHanded: boolean): Parcel<Payload>;
  /** Hands a message to the connection. */
  protected abstract hand(parcel: Parcel<Payload>): void;
  /** Closes the connection from this end. */
  protected abstract endPeer(code: number, reason: string): void;

  get bufferedBytes(): number {
    return this.handedBytes + this.#waitingBytes;
  }

  get hasEnded(): boolean {
    return this.#closing !== undefined;
  }

  listen(listener: TransportListener<Receives>): void {
    if (this.#listener !== undefined) throw new Error('transport: expected one listener, got a second one');
    this.#listener = listener;
    if (this.#undelivered.length > 0 || this.hasEnded) this.defer(() => this.#drain());
  }

  send(message: Sends): void {
    if (this.hasEnded) return;
    const isUrgent = !vectorTypes.has(message.type);
    const isHanded = this.isReady && (isUrgent || (!this.isWaiting && !this.isFull));
    const parcel = this.parcelOf(message, isHanded);
    if (isHanded) {
      this.hand(parcel);
      return;
    }
    this.#waiting.push(parcel);
    this.#waitingBytes += parcel.byteLength;
  }

  sendVector(stream: VectorStream<Sends>): void {
    if (this.hasEnded) return;
    this.#waiting.push(() => {
      const message = stream.next();
      return message && { ...this.parcelOf(message, true), sent: stream.sent && (() => stream.sent!(message)) };
    });
    this.resume();
  }

  close(code: number, reason: string): void {
    if (!this.end({ code, reason, by: 'local' })) return;
    this.clear();
    this.endPeer(code, toMessageText(reason));
  }

  /** Drops the messages that wait. */
  protected clear(): void {
    this.#waiting = [];
    this.#waitingBytes = 0;
  }

  protected get isWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** Sends waiting messages until the connection is full; called when it is ready, or has less buffered than before. */
  protected resume(): void {
    while (this.isWaiting && this.isReady && !this.isFull) {
      const first = this.#waiting[0]!;
      const isSource = typeof first === 'function';
      const parcel = isSource ? first() : first;
      if (!isSource) this.#waitingBytes -= first.byteLength;
      if (!isSource || !parcel) this.#waiting.shift();
      if (parcel) this.hand(parcel);
    }
  }

  /** Takes a message that has just arrived; drops it if the connection has ended. */
  protected deliver(message: Receives): void {
    if (this.hasEnded) return;
    this.#undelivered.push(message);
    this.#drain();
  }

  /** Decodes and delivers a frame; closes the connection if it is not a message that the peer may send. */
  protected deliverFrame(frame: Uint8Array | SharedFrame): void {
    if (this.hasEnded) return;
    let message: Message;
    try {
      message = frame instanceof Uint8Array ? decode(frame, this.#peerSide) : this.#decodeShared(frame);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.close(error.closeCode, error.message);
      return;
    }
    this.deliver(message as Receives);
  }

  #decodeShared({ head, bulkLength, read }: SharedFrame): Message {
    // An undelivered message may be in the listener's memory.
    const listener = this.#undelivered.length === 0 ? this.#listener : undefined;
    return decodeParts(head, this.#peerSide, (type) => read(listener?.memoryFor?.(type, bulkLength)));
  }

  /** Ends the connection; returns false if it had ended before. A local end drops undelivered messages. */
  protected end(closing: Closing): boolean {
    if (this.hasEnded) return false;
    this.#closing = closing;
    if (closing.by === 'local') this.#undelivered = [];
    this.defer(() => this.#drain());
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
    } finally {
      this.#isDraining = false;
    }
    if (this.#closing === undefined || this.#isOver) return;
    this.#isOver = true;
    listener.onClose(this.#closing);
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

/** A frame whose bulk is in shared memory. */
export interface SharedFrame {
  readonly head: Uint8Array;
  readonly bulkLength: number;
  /** Copies the bulk to memory of that length, by default to new memory; returns undefined if there is none. */
  read(memory?: Uint8Array): Uint8Array | undefined;
}

/** Memory that both ends of a connection on one machine read and write: the bulk of long frames passes through it. */
export interface SharedFrames {
  /**
   * Writes the bulk of a frame.
   * @returns its place and the head, which are sent instead; undefined if the bulk is short, or there is no room
   */
  write(frame: FrameParts): Uint8Array<ArrayBuffer> | undefined;
  /** Returns the frame whose place has arrived; undefined for other data. */
  frameAt(data: ArrayBuffer): SharedFrame | undefined;
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
  /** Memory for the frames of vectors, used again when the socket has sent a frame, or at once if it copies. */
  readonly frames?: FramePool | undefined;
  /** Whether the socket copies what it sends, as a browser's does. */
  readonly copies?: boolean;
  /** By default all frames pass through the socket. */
  readonly shared?: SharedFrames | undefined;
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

/** `readyState` of an open socket; smaller before, larger after. */
const open = 1;

/**
 * Polling interval for a browser's socket, which has no event for a drained buffer: about as long as the buffer takes to
 * drain within one machine. On slower connections polls follow one another, which browsers slow down to 4 ms.
 */
const pollMs = 1;
/** Polling interval for a socket that tells when data have been handed to the network, but possibly too early. */
const tellingPollMs = 4;

/** Bytes of messages between two calls: their frames and copies are a multiple, of which V8 allows 64 MB. */
const garbageBytes = 8 * 1024 * 1024;
let collect: (() => void) | undefined;
let uncollectedBytes = 0;

/** Has a function called each time that messages over sockets may have left much garbage outside the engine's heap. */
export function onGarbage(run: () => void): void {
  collect = run;
}

function countGarbage(bytes: number): void {
  uncollectedBytes += bytes;
  if (uncollectedBytes < garbageBytes) return;
  uncollectedBytes = 0;
  collect?.();
}

class SocketEnd extends TransportEnd<Message, Message, FrameParts> {
  readonly #socket: WebSocketLike;
  readonly #options: WebSocketTransportOptions<Side>;
  /** Unconfirmed bytes of streams, if the socket confirms: `bufferedAmount` omits bytes the network took at once. */
  #unsentBytes = 0;
  #tellsSent = false;
  /** Total bytes of the whole frames that have arrived. */
  #framesBytes = 0;
  #sentBytes = 0;
  #isPolling = false;

  constructor(socket: WebSocketLike, options: WebSocketTransportOptions<Side>) {
    super(options.side, options.remote);
    this.#socket = socket;
    this.#options = options;
    socket.binaryType = 'arraybuffer';
    socket.addEventListener('open', () => this.resume());
    socket.addEventListener('message', (event) => this.#receive(event.data));
    socket.addEventListener('close', ({ code, reason }) => {
      this.clear();
      this.end({ code, reason: reason === '' ? '' : toMessageText(reason), by: 'remote' });
    });
    socket.addEventListener('error', (event) => this.#fail(event));
  }

  get receivedBytes(): number {
    return this.#options.receivedBytes?.() ?? this.#framesBytes;
  }

  get sentBytes(): number {
    return this.#sentBytes;
  }

  get copiesStreams(): boolean {
    return this.#options.shared !== undefined;
  }

  protected get handedBytes(): number {
    return this.#socket.bufferedAmount;
  }

  protected get isFull(): boolean {
    return this.#socket.bufferedAmount >= pacedBytes || this.#unsentBytes >= pacedBytes;
  }

  protected get isReady(): boolean {
    return this.#socket.readyState === open;
  }

  override send(message: Message): void {
    if (this.#socket.readyState > open) return;
    super.send(message);
    this.#poll();
  }

  protected override resume(): void {
    super.resume();
    this.#poll();
  }

  protected defer(run: () => void): void {
    queueMicrotask(run);
  }

  protected parcelOf(message: Message, isHanded: boolean): Parcel<FrameParts> {
    const { frames, shared } = this.#options;
    const pool = vectorTypes.has(message.type) ? frames : undefined;
    const payload = isHanded && shared ? partsOf(message) : { head: encode(message, pool), bulk: noBytes };
    return { payload, byteLength: payload.head.length + payload.bulk.length };
  }

  protected hand({ payload, byteLength, sent }: Parcel<FrameParts>): void {
    const isCounted = sent !== undefined && this.#tellsSent;
    if (isCounted) this.#unsentBytes += byteLength;
    this.#sentBytes += byteLength;
    const { frames, copies = false, shared } = this.#options;
    const place = shared?.write(payload);
    if (!place) countGarbage(byteLength);
    const isCopied = copies || place !== undefined;
    const frame = place ? payload.head : joinParts(payload, frames);
    this.#socket.send(place ?? frame, () => {
      this.#tellsSent = true;
      if (isCounted) this.#unsentBytes -= byteLength;
      if (!isCopied) frames?.give(frame);
      sent?.();
      this.resume();
    });
    if (isCopied) frames?.give(frame);
  }

  protected endPeer(code: number, reason: string): void {
    const shown = clipUtf8(reason, maxReasonBytes);
    try {
      this.#socket.close(code, shown);
    } catch {
      // A page may use only the codes 1000 and 3000 to 4999: there 1002 becomes 4002, and 1009 4009.
      this.#socket.close(code + 3000, shown);
    }
  }

  /** Looks again soon whether there is room; while a socket opens or closes there is nothing to look for. */
  #poll(): void {
    if (this.#isPolling || !this.isWaiting || !this.isReady) return;
    this.#isPolling = true;
    setTimeout(
      () => {
        this.#isPolling = false;
        this.resume();
      },
      this.#tellsSent ? tellingPollMs : pollMs,
    );
  }

  #receive(data: unknown): void {
    const { maxFrameBytes = Number.POSITIVE_INFINITY, shared } = this.#options;
    if (!(data instanceof ArrayBuffer)) {
      this.close(1003, `frame: expected binary, got ${typeof data === 'string' ? 'text' : typeof data}`);
      return;
    }
    const frame = shared?.frameAt(data);
    const byteLength = frame ? frame.head.length + frame.bulkLength : data.byteLength;
    if (byteLength > maxFrameBytes) {
      this.close(1009, `frame: expected at most ${maxFrameBytes} bytes, got ${byteLength}`);
    } else {
      this.#framesBytes += byteLength;
      // Most bytes in shared memory are read into memory of the listener.
      countGarbage(data.byteLength);
      this.deliverFrame(frame ?? new Uint8Array(data));
    }
  }

  /** Ends the connection after an error event. Browsers give no details; `ws` does, and closes the socket itself. */
  #fail(event: object): void {
    const error: unknown = 'error' in event ? event.error : undefined;
    const errorCode = error instanceof Error && 'code' in error ? String(error.code) : '';
    const message = (error instanceof Error && error.message) || errorCode || 'the connection failed';
    this.clear();
    if (errorCode.startsWith('WS_ERR_')) {
      const code = errorCode.startsWith('WS_ERR_UNSUPPORTED_') ? 1009 : 1002;
      this.end({ code, reason: `frame: ${message}`, by: 'local' });
    } else {
      this.end({ code: 1006, reason: toMessageText(message), by: 'remote' });
    }
  }
}

/** RFC 6455: a control frame carries at most 125 bytes, two of them the close code. */
const maxReasonBytes = 123;

/** The longest prefix of `text` that takes at most `maxBytes` bytes of UTF-8 and splits no character. */
export function clipUtf8(text: string, maxBytes: number): string {
  return text.slice(0, new TextEncoder().encodeInto(text, new Uint8Array(maxBytes)).read);
}

/** Source of time. Passing it as an argument lets a simulation run in virtual time. */
export interface Clock {
  /** Milliseconds since an arbitrary fixed moment; never decreases. */
  nowMs(): number;
  /** Calls back once after a delay; the returned function cancels the call. */
  after(delayMs: number, callback: () => void): () => void;
}
