/** A connection in virtual time: with latency and bandwidth, silent in one direction or both on request, or damaging frames. */
import {
  type CoordinatorTransport,
  type MemoryPair,
  memoryPair,
  type Side,
  type WorkerTransport,
} from '@lockstep/protocol';
import type { Clock } from '../clock.ts';

/** In each direction: frames follow one another, and each is under way for the latency as well. */
export interface LinkSpeed {
  readonly latencyMs: number;
  readonly bytesPerMs: number;
}

interface SimulatedLinkOptions {
  readonly clock: Clock;
  readonly speed: LinkSpeed;
  /** What runs at each end; what arrives waits while it is frozen, and is lost once it is dead. */
  readonly ends: Readonly<Record<Side, Clock>>;
  readonly workerName: string;
  /** Whether messages travel as encoded frames; only those can be damaged. */
  readonly encodes: boolean;
  /** Bytes that may be buffered before vectors wait. */
  readonly pacedBytes?: number | undefined;
}

/** A frame on its way to the coordinator. */
interface Transfer {
  readonly beginsAtMs: number;
  readonly endsAtMs: number;
  readonly byteLength: number;
}

export class SimulatedLink {
  readonly worker: WorkerTransport;
  readonly coordinator: CoordinatorTransport;
  /** Why the worker ended it, where what had arrived was wrong, or where it could not go on: neither is a fault of a link. */
  workerFault: string | undefined;
  readonly #options: SimulatedLinkOptions;
  readonly #pair: MemoryPair;
  /** When the last frame of each direction has left. */
  readonly #freeAtMs = { coordinator: 0, worker: 0 };
  readonly #silentUntilMs = { coordinator: 0, worker: 0 };
  readonly #transfers: Transfer[] = [];
  /** Bytes of frames that have arrived whole. */
  #arrivedBytes = 0;
  #receivedBefore = 0;
  /** A number in [0, 1) that says which bit of the worker's next frame flips. */
  #damage: number | undefined;

  constructor(options: SimulatedLinkOptions) {
    const { workerName, encodes, pacedBytes } = options;
    this.#options = options;
    this.#pair = memoryPair({
      workerName,
      encode: encodes,
      ...(pacedBytes === undefined ? {} : { pacedBytes }),
      transmit: (frame, from) => (from === 'worker' ? this.#transmit(frame) : frame),
      schedule: (deliver, { from, kind, byteLength }) => {
        if (kind === 'local') options.ends[from].after(0, deliver);
        else this.#carry(from, byteLength, deliver);
      },
    });
    this.worker = this.#noted(this.#pair.worker);
    this.coordinator = this.#counted(this.#pair.coordinator);
  }

  /** Both ends learn that the connection is gone, and what was under way is lost; on a silent link neither learns it. */
  cut(reason: string): void {
    const nowMs = this.#options.clock.nowMs();
    if (Math.max(this.#silentUntilMs.coordinator, this.#silentUntilMs.worker) <= nowMs) this.#pair.sever(reason);
  }

  /** Nothing from this side arrives for so long, and neither end is told: a half-open connection. */
  silence(from: Side, forMs: number): void {
    this.#silentUntilMs[from] = Math.max(this.#silentUntilMs[from], this.#options.clock.nowMs() + forMs);
  }

  /** Flips one bit of the next frame that the worker sends, drawn from a number in [0, 1). */
  damageNext(choice: number): void {
    this.#damage = choice;
  }

  /** Whether its coordinator's end is that process. */
  isTo(process: Clock): boolean {
    return this.#options.ends.coordinator === process;
  }

  get bufferedBytes(): number {
    return this.#pair.coordinator.bufferedBytes + this.#pair.worker.bufferedBytes;
  }

  #transmit(frame: Uint8Array): Uint8Array {
    if (this.#damage === undefined) return frame;
    const bit = Math.floor(this.#damage * frame.length * 8);
    this.#damage = undefined;
    const damaged = frame.slice();
    damaged[bit >> 3] = damaged[bit >> 3]! ^ (1 << (bit & 7));
    return damaged;
  }

  #carry(from: Side, byteLength: number, deliver: () => void): void {
    const { clock, speed, ends } = this.#options;
    const beginsAtMs = Math.max(clock.nowMs(), this.#freeAtMs[from]);
    const endsAtMs = beginsAtMs + byteLength / speed.bytesPerMs;
    this.#freeAtMs[from] = endsAtMs;
    if (from === 'worker') this.#transfers.push({ beginsAtMs, endsAtMs, byteLength });
    const receiver = from === 'worker' ? ends.coordinator : ends.worker;
    const arrive = (): void => {
      const silentMs = this.#silentUntilMs[from] - clock.nowMs();
      if (silentMs > 0) receiver.after(silentMs, arrive);
      else deliver();
    };
    receiver.after(endsAtMs + speed.latencyMs - clock.nowMs(), arrive);
  }

  /** The worker's end, which notes what it finds wrong. */
  #noted(transport: WorkerTransport): WorkerTransport {
    let isOpen = true;
    return {
      remote: transport.remote,
      get bufferedBytes() {
        return transport.bufferedBytes;
      },
      listen: ({ onMessage, onClose }) =>
        transport.listen({
          onMessage,
          onClose: (closing) => {
            isOpen = false;
            onClose(closing);
          },
        }),
      send: (message) => transport.send(message),
      sendVector: (stream) => transport.sendVector(stream),
      close: (code, reason) => {
        if (isOpen && (code === 1002 || code === 1011)) this.workerFault = reason;
        isOpen = false;
        transport.close(code, reason);
      },
    };
  }

  /** The coordinator's end, which tells how many bytes have arrived as a socket does. */
  #counted(transport: CoordinatorTransport): CoordinatorTransport {
    const receivedBytes = (): number => this.#receivedBytes();
    return {
      remote: transport.remote,
      get bufferedBytes() {
        return transport.bufferedBytes;
      },
      get receivedBytes() {
        return receivedBytes();
      },
      listen: (listener) => transport.listen(listener),
      send: (message) => transport.send(message),
      sendVector: (stream) => transport.sendVector(stream),
      close: (code, reason) => transport.close(code, reason),
    };
  }

  /** Bytes that have reached the coordinator, part of an unfinished frame included. */
  #receivedBytes(): number {
    const { clock, speed } = this.#options;
    if (this.#silentUntilMs.worker > clock.nowMs()) return this.#receivedBefore;
    const sentAtMs = clock.nowMs() - speed.latencyMs;
    while (this.#transfers[0] && this.#transfers[0].endsAtMs <= sentAtMs) {
      this.#arrivedBytes += this.#transfers.shift()!.byteLength;
    }
    const part = Math.max(0, sentAtMs - (this.#transfers[0]?.beginsAtMs ?? sentAtMs)) * speed.bytesPerMs;
    this.#receivedBefore = Math.max(this.#receivedBefore, this.#arrivedBytes + Math.floor(part));
    return this.#receivedBefore;
  }
}
