/** Two joined transports in one process, which deliver when a scheduler decides. */
import { encode } from '../codec.ts';
import type { CoordinatorMessage, Message, Side, WorkerMessage } from '../messages.ts';
import { toMessageText } from '../text.ts';
import type { Closing, CoordinatorTransport, Transport, TransportListener, WorkerTransport } from '../transport.ts';
import { Inbox } from './inbox.ts';

declare const queueMicrotask: (run: () => void) => void;

/** What a scheduler may base a delay on. */
export interface Parcel {
  readonly from: Side;
  /** `message` and `close` cross the connection; `local` is a callback at the sender's own end. */
  readonly kind: 'message' | 'close' | 'local';
  /** Bytes on the wire: exact where messages are encoded, otherwise the bulk bytes and an estimate for the rest. */
  readonly byteLength: number;
}

/**
 * Calls `deliver` later, never before it returns, or never at all. It decides when, not in which order: each call
 * delivers the oldest parcel of its direction, as a stream does.
 */
export type Schedule = (deliver: () => void, parcel: Parcel) => void;

export interface MemoryPairOptions {
  /** Default: the microtask queue. A simulator passes its virtual clock. */
  readonly schedule?: Schedule;
  /**
   * Whether messages are encoded, and decoded and checked on arrival. Otherwise (the default) the object that was sent
   * arrives, unchecked: messages are immutable, so it is as good as a copy.
   */
  readonly encode?: boolean;
  /** The `remote` of the coordinator's end. Default `local worker`. */
  readonly workerName?: string;
}

export interface MemoryPair {
  readonly coordinator: CoordinatorTransport;
  readonly worker: WorkerTransport;
  /** Cuts the connection as a dead network does: messages in flight are lost, and both ends close with code 1006. */
  sever(reason: string): void;
}

export function memoryPair(options: MemoryPairOptions = {}): MemoryPair {
  const schedule = options.schedule ?? ((deliver) => queueMicrotask(deliver));
  const encodes = options.encode ?? false;
  const workerName = options.workerName ?? 'local worker';
  const coordinator = new MemoryEnd<WorkerMessage, CoordinatorMessage>('coordinator', workerName, schedule, encodes);
  const worker = new MemoryEnd<CoordinatorMessage, WorkerMessage>('worker', 'local coordinator', schedule, encodes);
  coordinator.join(worker);
  worker.join(coordinator);
  return {
    coordinator,
    worker,
    sever(reason) {
      coordinator.lose(reason);
      worker.lose(reason);
    },
  };
}

type InFlight = { readonly byteLength: number } & (
  | { readonly kind: 'message'; readonly payload: Message | Uint8Array }
  | { readonly kind: 'close'; readonly closing: Closing }
);

/** Wire bytes of a close frame and of a message's small fields: an order of magnitude, for simulated bandwidth. */
const smallFrameBytes = 64;

class MemoryEnd<Receives extends Message, Sends extends Message> implements Transport<Receives, Sends> {
  readonly remote: string;
  readonly #side: Side;
  readonly #schedule: Schedule;
  readonly #encodes: boolean;
  readonly #inbox: Inbox<Receives>;
  #peer: MemoryEnd<Sends, Receives> | undefined;
  #inFlight: InFlight[] = [];
  #bufferedBytes = 0;

  constructor(side: Side, remote: string, schedule: Schedule, encodes: boolean) {
    this.remote = remote;
    this.#side = side;
    this.#schedule = schedule;
    this.#encodes = encodes;
    this.#inbox = new Inbox((run) => schedule(run, { from: side, kind: 'local', byteLength: 0 }));
  }

  join(peer: MemoryEnd<Sends, Receives>): void {
    this.#peer = peer;
  }

  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  listen(listener: TransportListener<Receives>): void {
    this.#inbox.listen(listener);
  }

  send(message: Sends): void {
    if (this.#inbox.hasEnded) return;
    const payload = this.#encodes ? encode(message) : message;
    this.#dispatch({ kind: 'message', payload, byteLength: wireBytes(payload) });
  }

  close(code: number, reason: string): void {
    if (!this.#inbox.end({ code, reason, by: 'local' })) return;
    const closing: Closing = { code, reason: toMessageText(reason), by: 'remote' };
    this.#dispatch({ kind: 'close', closing, byteLength: smallFrameBytes });
  }

  lose(reason: string): void {
    this.#inFlight = [];
    this.#bufferedBytes = 0;
    this.#inbox.end({ code: 1006, reason, by: 'remote' });
  }

  #dispatch(item: InFlight): void {
    this.#inFlight.push(item);
    this.#bufferedBytes += item.byteLength;
    this.#schedule(() => this.#deliverOldest(), { from: this.#side, kind: item.kind, byteLength: item.byteLength });
  }

  #deliverOldest(): void {
    const item = this.#inFlight.shift();
    if (item === undefined) return;
    this.#bufferedBytes -= item.byteLength;
    this.#peer?.accept(item);
  }

  accept(item: InFlight): void {
    if (item.kind === 'close') {
      this.#inbox.end(item.closing);
    } else if (item.payload instanceof Uint8Array) {
      const peerSide = this.#side === 'worker' ? 'coordinator' : 'worker';
      this.#inbox.deliverFrame(item.payload, peerSide, (code, reason) => this.close(code, reason));
    } else {
      this.#inbox.deliver(item.payload as Receives);
    }
  }
}

function wireBytes(payload: Message | Uint8Array): number {
  if (payload instanceof Uint8Array) return payload.byteLength;
  let bytes = smallFrameBytes;
  for (const value of Object.values(payload)) if (value instanceof Uint8Array) bytes += value.byteLength;
  return bytes;
}
