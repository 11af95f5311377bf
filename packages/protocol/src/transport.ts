/** A connection between one worker and the coordinator, and what every implementation of it needs: an inbox, and pacing. */
import { decode, ProtocolError } from './codec.ts';
import type { CoordinatorMessage, Message, Side, WorkerMessage } from './messages.ts';

/** Why a connection ended. Codes are those of WebSocket (RFC 6455, section 7.4.1). */
export interface Closing {
  /** 1000 normal, 1001 going away, 1002 bad frame, 1003 text frame, 1006 connection lost, 1009 frame too large. */
  readonly code: number;
  /** One sentence, or empty where the peer gave none. */
  readonly reason: string;
  /** `local`: this end closed it, by `close` or because what arrived was refused. */
  readonly by: 'local' | 'remote';
}

export interface TransportListener<Receives extends Message> {
  /** Takes one checked message. Its bytes may be views into the frame: never write to them. */
  onMessage(message: Receives): void;
  /** Called exactly once, after the last message. */
  onClose(closing: Closing): void;
}

/** The messages of a vector, each of which is made when a connection has room for it. */
export interface VectorStream<Sends extends Message> {
  /** The next one; undefined at the end. */
  next(): Sends | undefined;
  /** Called once a connection needs a message no more, where it tells: the memory of its frame may change then. */
  sent?(message: Sends): void;
}

/**
 * One end of a connection. Every implementation keeps these rules:
 * - messages arrive in the order sent, except that vectors and their chunks wait while much is buffered, and others
 *   overtake them; none arrives before `listen`, and those that come earlier wait for it;
 * - nothing is delivered from inside `send`, `close` or `listen`;
 * - a frame that cannot be decoded closes the connection from this end, with the reason, and is not delivered;
 * - after `close` no message is delivered, and `onClose` follows without waiting for the peer.
 */
export interface Transport<Receives extends Message = Message, Sends extends Message = Message> {
  /** Describes the other end to people. */
  readonly remote: string;
  /** Bytes accepted by `send` and not yet handed to the network, those that wait included; of streams those that are made. */
  readonly bufferedBytes: number;
  /** Bytes that have arrived, unfinished frames included where the platform tells; undefined where nothing is counted. */
  readonly receivedBytes?: number | undefined;
  /** Bytes of the messages handed to the network; undefined where nothing is counted. */
  readonly sentBytes?: number | undefined;
  /** Starts delivery; called once. Throws an Error when called again. */
  listen(listener: TransportListener<Receives>): void;
  /** Queues a message, which must not change any more. Does nothing on a connection that has ended. */
  send(message: Sends): void;
  /** Sends a vector after those before it; others may overtake it. Does nothing on a connection that has ended. */
  sendVector(stream: VectorStream<Sends>): void;
  /** Ends the connection once what is buffered has been sent; vectors that wait are not. Only the first call counts. */
  close(code: number, reason: string): void;
}

export type CoordinatorTransport = Transport<WorkerMessage, CoordinatorMessage>;
export type WorkerTransport = Transport<CoordinatorMessage, WorkerMessage>;

/** Delivers what one end of a transport receives: in order, none lost before `listen`, one closing at the end. */
export class Inbox<Receives extends Message> {
  readonly #defer: (run: () => void) => void;
  #undelivered: Receives[] = [];
  #listener: TransportListener<Receives> | undefined;
  #closing: Closing | undefined;
  #isDraining = false;
  #isClosingDelivered = false;

  /** `defer` runs a function soon, never before it returns. */
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

  /** Takes a message that has just arrived; after the end it is dropped. */
  deliver(message: Receives): void {
    if (this.#closing !== undefined) return;
    this.#undelivered.push(message);
    this.#drain();
  }

  /** As `deliver` for a frame that `from` has sent; calls `close` where it is no message that `from` may send. */
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

  /** Ends the connection; false where it had ended before. A local end drops what is not delivered yet. */
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
 * Bytes that may be buffered before vectors wait. More than a connection within one machine takes before it asks for
 * more, so that it never stands still, and less than a second of a link of 10 Mbit/s.
 */
export const pacedBytes = 1024 * 1024;

const vectorTypes: ReadonlySet<Message['type']> = new Set<Message['type']>([
  'numericsCheck',
  'numericsResult',
  'weights',
  'gradient',
  'chunk',
]);

/** A message as it travels. */
export interface Parcel<Payload> {
  readonly payload: Payload;
  readonly byteLength: number;
  /** Called once the connection needs the payload no more, where it tells. */
  readonly sent?: (() => void) | undefined;
}

/** Makes the next parcel of a vector; undefined at its end. */
type ParcelSource<Payload> = () => Parcel<Payload> | undefined;

/** Lets short messages pass between the chunks of vectors: those wait here while much is buffered on their connection. */
export class PacedVectors<Payload> {
  /** Of all parcels that wait; those of a source are not made yet. */
  byteLength = 0;
  readonly #isFull: () => boolean;
  readonly #send: (parcel: Parcel<Payload>) => void;
  #waiting: (Parcel<Payload> | ParcelSource<Payload>)[] = [];

  /** @param isFull whether vectors have to wait @param send hands a message to the connection */
  constructor(isFull: () => boolean, send: (parcel: Parcel<Payload>) => void) {
    this.#isFull = isFull;
    this.#send = send;
  }

  get isWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** Sends a message of this type, or keeps it until the vectors before it are sent. */
  push(type: Message['type'], parcel: Parcel<Payload>): void {
    if (!vectorTypes.has(type) || (!this.isWaiting && !this.#isFull())) {
      this.#send(parcel);
      return;
    }
    this.#waiting.push(parcel);
    this.byteLength += parcel.byteLength;
  }

  /** Sends a vector whose parcels are made when there is room for them, after those that wait. */
  pushSource(source: ParcelSource<Payload>): void {
    this.#waiting.push(source);
    this.resume();
  }

  /** Sends what has waited, as far as it may go; called when less is buffered than before. */
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
