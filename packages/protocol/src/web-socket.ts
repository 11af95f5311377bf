/** A transport over a WebSocket: the browser's own, or `ws` at either end in Node. */
import { encode } from './codec.ts';
import type { CoordinatorMessage, Message, Side, WorkerMessage } from './messages.ts';
import { clipUtf8, toMessageText } from './text.ts';
import {
  Inbox,
  PacedVectors,
  type Parcel,
  pacedBytes,
  type Transport,
  type TransportListener,
  type VectorStream,
} from './transport.ts';

declare const queueMicrotask: (run: () => void) => void;
declare const setTimeout: (run: () => void, delayMs: number) => unknown;

/** Polling interval for a browser's socket, which has no event for a drained buffer. */
const pollMs = 4;

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

export interface WebSocketTransportOptions<S extends Side> {
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

export type WebSocketTransport<S extends Side> = S extends 'worker'
  ? Transport<CoordinatorMessage, WorkerMessage>
  : Transport<WorkerMessage, CoordinatorMessage>;

/**
 * Wraps a socket that is connecting or open, and owns it from then on.
 *
 * Messages sent before the socket opens go out when it does, and are lost if it never does. If the peer does not
 * answer a close, the socket (not the transport) stays open until the socket's own close timeout.
 */
export function webSocketTransport<S extends Side>(
  socket: WebSocketLike,
  options: WebSocketTransportOptions<S>,
): WebSocketTransport<S> {
  return new SocketEnd(socket, options) as unknown as WebSocketTransport<S>;
}

const connecting = 0;
const open = 1;

/** RFC 6455: a control frame carries at most 125 bytes, two of them the close code. */
const maxReasonBytes = 123;

/** A message that waits for the socket to open. */
interface PendingFrame {
  readonly type: Message['type'];
  readonly frame: Uint8Array<ArrayBuffer>;
}

class SocketEnd implements Transport<Message, Message> {
  readonly remote: string;
  readonly #socket: WebSocketLike;
  readonly #from: Side;
  readonly #maxFrameBytes: number;
  readonly #receivedBytes: () => number;
  readonly #inbox = new Inbox<Message>((run) => queueMicrotask(run));
  readonly #vectors = new PacedVectors<Uint8Array<ArrayBuffer>>(
    () => this.#socket.bufferedAmount >= pacedBytes || this.#unsentBytes >= pacedBytes,
    (parcel) => this.#hand(parcel),
  );
  /** Unconfirmed bytes of streams, if the socket confirms: `bufferedAmount` omits bytes the network took at once. */
  #unsentBytes = 0;
  #tellsSent = false;
  /** Total bytes of the whole frames that have arrived. */
  #framesBytes = 0;
  #sentBytes = 0;
  #pending: (PendingFrame | VectorStream<Message>)[] = [];
  #isPolling = false;

  constructor(socket: WebSocketLike, options: WebSocketTransportOptions<Side>) {
    this.remote = options.remote;
    this.#socket = socket;
    this.#from = options.side === 'worker' ? 'coordinator' : 'worker';
    this.#maxFrameBytes = options.maxFrameBytes ?? Number.POSITIVE_INFINITY;
    this.#receivedBytes = options.receivedBytes ?? (() => this.#framesBytes);
    socket.binaryType = 'arraybuffer';
    socket.addEventListener('open', () => this.#flush());
    socket.addEventListener('message', (event) => this.#receive(event.data));
    socket.addEventListener('close', ({ code, reason }) => {
      this.#inbox.end({ code, reason: reason === '' ? '' : toMessageText(reason), by: 'remote' });
    });
    socket.addEventListener('error', (event) => this.#fail(event));
  }

  get bufferedBytes(): number {
    const bytes = this.#socket.bufferedAmount + this.#vectors.byteLength;
    return this.#pending.reduce((sum, pending) => sum + ('frame' in pending ? pending.frame.byteLength : 0), bytes);
  }

  get receivedBytes(): number {
    return this.#receivedBytes();
  }

  get sentBytes(): number {
    return this.#sentBytes;
  }

  listen(listener: TransportListener<Message>): void {
    this.#inbox.listen(listener);
  }

  send(message: Message): void {
    if (this.#inbox.hasEnded) return;
    const frame = encode(message);
    if (this.#socket.readyState === connecting) {
      this.#pending.push({ type: message.type, frame });
    } else if (this.#socket.readyState === open) {
      this.#push(message.type, frame);
    }
  }

  sendVector(stream: VectorStream<Message>): void {
    if (this.#inbox.hasEnded) return;
    if (this.#socket.readyState === connecting) this.#pending.push(stream);
    else if (this.#socket.readyState === open) this.#pushStream(stream);
  }

  close(code: number, reason: string): void {
    if (!this.#inbox.end({ code, reason, by: 'local' })) return;
    this.#pending = [];
    this.#vectors.clear();
    closeSocket(this.#socket, code, clipUtf8(toMessageText(reason), maxReasonBytes));
  }

  #flush(): void {
    const all = this.#pending;
    this.#pending = [];
    if (this.#inbox.hasEnded) return;
    for (const pending of all) {
      if ('frame' in pending) this.#push(pending.type, pending.frame);
      else this.#pushStream(pending);
    }
  }

  #push(type: Message['type'], frame: Uint8Array<ArrayBuffer>): void {
    this.#vectors.push(type, { payload: frame, byteLength: frame.byteLength });
    this.#poll();
  }

  #pushStream(stream: VectorStream<Message>): void {
    this.#vectors.pushSource(() => {
      const message = stream.next();
      if (!message) return undefined;
      const payload = encode(message);
      const sent = stream.sent && (() => stream.sent!(message));
      return { payload, byteLength: payload.byteLength, sent };
    });
    this.#poll();
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

  readonly #resume = (): void => {
    if (!this.#vectors.isWaiting) return;
    if (this.#inbox.hasEnded || this.#socket.readyState !== open) this.#vectors.clear();
    else this.#vectors.resume();
  };

  #poll(): void {
    if (this.#isPolling || !this.#vectors.isWaiting) return;
    this.#isPolling = true;
    setTimeout(() => {
      this.#isPolling = false;
      this.#resume();
      this.#poll();
    }, pollMs);
  }

  #receive(data: unknown): void {
    if (!(data instanceof ArrayBuffer)) {
      this.close(1003, `frame: expected binary, got ${typeof data === 'string' ? 'text' : typeof data}`);
    } else if (data.byteLength > this.#maxFrameBytes) {
      this.close(1009, `frame: expected at most ${this.#maxFrameBytes} bytes, got ${data.byteLength}`);
    } else {
      this.#framesBytes += data.byteLength;
      this.#inbox.deliverFrame(new Uint8Array(data), this.#from, (code, reason) => this.close(code, reason));
    }
  }

  /** Ends the connection after an error event. Browsers give no details; `ws` does, and closes the socket itself. */
  #fail(event: object): void {
    const error: unknown = 'error' in event ? event.error : undefined;
    const errorCode = error instanceof Error && 'code' in error ? String(error.code) : '';
    const message = (error instanceof Error && error.message) || errorCode || 'the connection failed';
    this.#pending = [];
    if (errorCode.startsWith('WS_ERR_')) {
      const code = errorCode.startsWith('WS_ERR_UNSUPPORTED_') ? 1009 : 1002;
      this.#inbox.end({ code, reason: `frame: ${message}`, by: 'local' });
    } else {
      this.#inbox.end({ code: 1006, reason: toMessageText(message), by: 'remote' });
    }
  }
}

/** Closes a socket. A page may use only the codes 1000 and 3000 to 4999: there 1002 becomes 4002, and 1009 4009. */
function closeSocket(socket: WebSocketLike, code: number, reason: string): void {
  try {
    socket.close(code, reason);
  } catch {
    socket.close(code + 3000, reason);
  }
}
