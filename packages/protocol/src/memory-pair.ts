/** Two connected transports in one process; a scheduler decides when they deliver. */
import { encode } from './codec.ts';
import type { CoordinatorMessage, Message, Side, WorkerMessage } from './messages.ts';
import { toMessageText } from './text.ts';
import {
  type Closing,
  type CoordinatorTransport,
  pacedBytes as defaultPacedBytes,
  Inbox,
  PacedVectors,
  type Transport,
  type TransportListener,
  type VectorStream,
  type WorkerTransport,
} from './transport.ts';

declare const queueMicrotask: (run: () => void) => void;

/** The facts on which a scheduler may base a delay. */
interface Parcel {
  readonly from: Side;
  /** `message` and `close` cross the connection; `local` is a callback at the sender's own end. */
  readonly kind: 'message' | 'close' | 'local';
  /** Bytes on the wire: exact if messages are encoded, otherwise the bulk bytes plus an estimate for the rest. */
  readonly byteLength: number;
}

/**
 * Calls `deliver` later, never before it returns, or not at all. It decides when, not in which order: each call
 * delivers the oldest parcel of its direction, as a stream does.
 */
export type Schedule = (deliver: () => void, parcel: Parcel) => void;

export interface MemoryPairOptions {
  /** By default the microtask queue. A simulator passes its virtual clock. */
  readonly schedule?: Schedule;
  /**
   * Whether messages are encoded, then decoded and checked on arrival. By default the object that was sent arrives
   * unchecked: messages are immutable, so it is as good as a copy.
   */
  readonly encode?: boolean;
  /** Returns what arrives of an encoded frame, by default the frame itself. Must not write to the frame. */
  readonly transmit?: (frame: Uint8Array, from: Side) => Uint8Array;
  /** Bytes that may be buffered before vectors wait and other messages overtake them; by default as over a socket. */
  readonly pacedBytes?: number;
  /** The `remote` of the coordinator's end; by default `local worker`. */
  readonly workerName?: string;
}

export interface MemoryPair {
  readonly coordinator: CoordinatorTransport;
  readonly worker: WorkerTransport;
  /** Breaks the connection as a dead network does: messages in flight are lost, and both ends close with code 1006. */
  sever(reason: string): void;
}

export function memoryPair({
  schedule = (deliver) => queueMicrotask(deliver),
  encode: encodes = false,
  transmit = (frame) => frame,
  pacedBytes = defaultPacedBytes,
  workerName = 'local worker',
}: MemoryPairOptions = {}): MemoryPair {
  const frameOf = (message: Message, from: Side) => (encodes ? transmit(encode(message), from) : message);
  const way = { schedule, frameOf, pacedBytes };
  const coordinator = new MemoryEnd<WorkerMessage, CoordinatorMessage>('coordinator', workerName, way);
  const worker = new MemoryEnd<CoordinatorMessage, WorkerMessage>('worker', 'local coordinator', way);
  coordinator.peer = worker;
  worker.peer = coordinator;
  return {
    coordinator,
    worker,
    sever(reason) {
      coordinator.lose(reason);
      worker.lose(reason);
    },
  };
}

/** Wire bytes of a close frame, or of a message's small fields: an order of magnitude, for simulated bandwidth. */
const smallFrameBytes = 64;

/** Delivery of messages between the ends of a pair. */
interface Way {
  readonly schedule: Schedule;
  readonly frameOf: (message: Message, from: Side) => Message | Uint8Array;
  readonly pacedBytes: number;
}

class MemoryEnd<Receives extends Message, Sends extends Message> implements Transport<Receives, Sends> {
  readonly remote: string;
  peer: MemoryEnd<Sends, Receives> | undefined;
  readonly #side: Side;
  readonly #way: Way;
  readonly #vectors: PacedVectors<Message | Uint8Array>;
  readonly inbox: Inbox<Receives>;
  #inFlightBytes = 0;
  #inFlight: { readonly byteLength: number; readonly deliver: () => void }[] = [];

  constructor(side: Side, remote: string, way: Way) {
    this.remote = remote;
    this.#side = side;
    this.#way = way;
    this.#vectors = new PacedVectors(
      () => this.#inFlightBytes >= way.pacedBytes,
      ({ payload, byteLength }) => this.#dispatch('message', byteLength, () => this.peer?.receive(payload)),
    );
    this.inbox = new Inbox((run) => way.schedule(run, { from: side, kind: 'local', byteLength: 0 }));
  }

  get bufferedBytes(): number {
    return this.#inFlightBytes + this.#vectors.byteLength;
  }

  listen(listener: TransportListener<Receives>): void {
    this.inbox.listen(listener);
  }

  send(message: Sends): void {
    if (this.inbox.hasEnded) return;
    const payload = this.#way.frameOf(message, this.#side);
    this.#vectors.push(message.type, { payload, byteLength: wireBytes(payload) });
  }

  /** The receiver may still be reading a delivered message, so the stream is never told that a message was sent. */
  sendVector(stream: VectorStream<Sends>): void {
    if (this.inbox.hasEnded) return;
    this.#vectors.pushSource(() => {
      const message = stream.next();
      if (!message) return undefined;
      const payload = this.#way.frameOf(message, this.#side);
      return { payload, byteLength: wireBytes(payload) };
    });
  }

  close(code: number, reason: string): void {
    if (!this.inbox.end({ code, reason, by: 'local' })) return;
    this.#vectors.clear();
    const closing: Closing = { code, reason: toMessageText(reason), by: 'remote' };
    this.#dispatch('close', smallFrameBytes, () => this.peer?.inbox.end(closing));
  }

  lose(reason: string): void {
    this.#inFlight = [];
    this.#inFlightBytes = 0;
    this.#vectors.clear();
    this.inbox.end({ code: 1006, reason, by: 'remote' });
  }

  #dispatch(kind: 'message' | 'close', byteLength: number, deliver: () => void): void {
    this.#inFlight.push({ byteLength, deliver });
    this.#inFlightBytes += byteLength;
    this.#way.schedule(() => this.#deliverOldest(), { from: this.#side, kind, byteLength });
  }

  #deliverOldest(): void {
    const item = this.#inFlight.shift();
    if (item === undefined) return;
    this.#inFlightBytes -= item.byteLength;
    this.#vectors.resume();
    item.deliver();
  }

  receive(payload: Message | Uint8Array): void {
    if (!(payload instanceof Uint8Array)) {
      this.inbox.deliver(payload as Receives);
      return;
    }
    const peerSide = this.#side === 'worker' ? 'coordinator' : 'worker';
    this.inbox.deliverFrame(payload, peerSide, (code, reason) => this.close(code, reason));
  }
}

function wireBytes(payload: Message | Uint8Array): number {
  if (payload instanceof Uint8Array) return payload.byteLength;
  let bytes = smallFrameBytes;
  for (const value of Object.values(payload)) if (value instanceof Uint8Array) bytes += value.byteLength;
  return bytes;
}
