/** Two connected transports in one process; a scheduler decides when they deliver. */
import { encode } from './codec.ts';
import type { Message, Side } from './messages.ts';
import {
  type CoordinatorTransport,
  pacedBytes as defaultPacedBytes,
  type Parcel,
  TransportEnd,
  type WorkerTransport,
} from './transport.ts';

declare const queueMicrotask: (run: () => void) => void;

/** The facts on which a scheduler may base a delay. */
interface Crossing {
  readonly from: Side;
  /** `message` and `close` cross the connection; `local` is a callback at the sender's own end. */
  readonly kind: 'message' | 'close' | 'local';
  /** Bytes on the wire: exact if messages are encoded, otherwise the bulk bytes plus an estimate for the rest. */
  readonly byteLength: number;
}

/**
 * Calls `deliver` later, never before it returns, or not at all. It decides when, not in which order: each call
 * delivers the oldest of its direction, as a stream does.
 */
export type Delivery = (deliver: () => void, crossing: Crossing) => void;

interface MemoryPairOptions {
  /** By default the microtask queue. A simulator passes its virtual clock. */
  readonly schedule?: Delivery;
  /**
   * Whether messages are encoded, then decoded and checked on arrival. By default the object that was sent arrives
   * unchecked: messages are immutable, so it is as good as a copy.
   */
  readonly encode?: boolean;
  /** Returns what arrives of an encoded frame, by default the frame itself. Must not write to the frame. */
  readonly transmit?: (frame: Uint8Array, from: Side) => Uint8Array;
  /** Bytes that may be buffered before vectors wait and other messages overtake them; by default as over a socket. */
  readonly pacedBytes?: number;
  /** Bytes that a side has sent and received, as a socket counts them; by default they are not counted. */
  readonly traffic?: (side: Side) => Traffic;
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
  traffic = () => ({}),
  workerName = 'local worker',
}: MemoryPairOptions = {}): MemoryPair {
  const frameOf = (message: Message, from: Side) => (encodes ? transmit(encode(message), from) : message);
  const way = { schedule, frameOf, pacedBytes, traffic };
  const coordinator = new MemoryEnd('coordinator', workerName, way);
  const worker = new MemoryEnd('worker', 'local coordinator', way);
  coordinator.peer = worker;
  worker.peer = coordinator;
  return {
    coordinator: coordinator as unknown as CoordinatorTransport,
    worker: worker as unknown as WorkerTransport,
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
  readonly schedule: Delivery;
  readonly frameOf: (message: Message, from: Side) => Message | Uint8Array;
  readonly pacedBytes: number;
  readonly traffic: (side: Side) => Traffic;
}

type Traffic = Pick<CoordinatorTransport, 'sentBytes' | 'receivedBytes'>;
type Payload = Message | Uint8Array;

class MemoryEnd extends TransportEnd<Message, Message, Payload> {
  peer: MemoryEnd | undefined;
  readonly #side: Side;
  readonly #way: Way;
  #inFlight: { readonly byteLength: number; readonly deliver: () => void }[] = [];
  protected handedBytes = 0;
  protected readonly isReady = true;

  constructor(side: Side, remote: string, way: Way) {
    super(side, remote);
    this.#side = side;
    this.#way = way;
  }

  get sentBytes(): number | undefined {
    return this.#way.traffic(this.#side).sentBytes;
  }

  get receivedBytes(): number | undefined {
    return this.#way.traffic(this.#side).receivedBytes;
  }

  protected get isFull(): boolean {
    return this.handedBytes >= this.#way.pacedBytes;
  }

  protected defer(run: () => void): void {
    this.#way.schedule(run, { from: this.#side, kind: 'local', byteLength: 0 });
  }

  protected parcelOf(message: Message): Parcel<Payload> {
    const payload = this.#way.frameOf(message, this.#side);
    return { payload, byteLength: wireBytes(payload) };
  }

  /** The receiver may still be reading a delivered message, so a stream is never told that a message was sent. */
  protected hand({ payload, byteLength }: Parcel<Payload>): void {
    this.#dispatch('message', byteLength, () => this.peer?.receive(payload));
  }

  protected endPeer(code: number, reason: string): void {
    this.#dispatch('close', smallFrameBytes, () => this.peer?.end({ code, reason, by: 'remote' }));
  }

  lose(reason: string): void {
    this.#inFlight = [];
    this.handedBytes = 0;
    this.clear();
    this.end({ code: 1006, reason, by: 'remote' });
  }

  #dispatch(kind: 'message' | 'close', byteLength: number, deliver: () => void): void {
    this.#inFlight.push({ byteLength, deliver });
    this.handedBytes += byteLength;
    this.#way.schedule(() => this.#deliverOldest(), { from: this.#side, kind, byteLength });
  }

  #deliverOldest(): void {
    const item = this.#inFlight.shift();
    if (item === undefined) return;
    this.handedBytes -= item.byteLength;
    this.resume();
    item.deliver();
  }

  receive(payload: Payload): void {
    if (payload instanceof Uint8Array) this.deliverFrame(payload);
    else this.deliver(payload);
  }
}

function wireBytes(payload: Payload): number {
  if (payload instanceof Uint8Array) return payload.byteLength;
  let bytes = smallFrameBytes;
  for (const value of Object.values(payload)) if (value instanceof Uint8Array) bytes += value.byteLength;
  return bytes;
}
