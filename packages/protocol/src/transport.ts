/** Connection between one worker and the coordinator, and the parts shared by all implementations: inbox and pacing. */
import { decode, ProtocolError } from './codec.ts';
import type { CoordinatorMessage, Message, Side, WorkerMessage } from './messages.ts';

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
    if (this.#undelivered.length > 0 || this.#closing !== undefined) this.#defer(() => this.#drain());
  }

  /** Takes a message that has just arrived; drops it if the connection has ended. */
  deliver(message: Receives): void {
    if (this.#closing !== undefined) return;
    this.#undelivered.push(message);
    this.#drain();
  }

  /** Decodes and delivers a frame from `from`; calls `close` if it is not a message that `from` may send. */
  deliverFrame(frame: Uint8Array, from: Side, close: (code: number, reason: string) => void): void {
    if (this.#closing !== undefined) return;
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
    if (this.#closing !== undefined) return false;
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
export interface Parcel<Payload> {
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
  #waiting: (Parcel<Payload> | ParcelSource<Payload>)[] = [];

  /** @param isFull whether vectors must wait @param send hands a message to the connection */
  constructor(isFull: () => boolean, send: (parcel: Parcel<Payload>) => void) {
    this.#isFull = isFull;
    this.#send = send;
  }

  get isWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** Sends a message, or queues it if it belongs to a vector and must wait. */
  push(type: Message['type'], parcel: Parcel<Payload>): void {
    if (!vectorTypes.has(type) || (!this.isWaiting && !this.#isFull())) {
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

  /** Sends waiting parcels until the connection is full; called when less is buffered than before. */
  resume(): void {
    while (this.isWaiting && !this.#isFull()) {
      const first = this.#waiting[0]!;
      if (typeof first !== 'function') {
        this.#waiting.shift();
        this.byteLength -= first.byteLength;
        this.#send(first);
        continue;
      }
      const parcel = first();
      if (parcel) this.#send(parcel);
      else this.#waiting.shift();
    }
  }

  clear(): void {
    this.#waiting = [];
    this.byteLength = 0;
  }
}
