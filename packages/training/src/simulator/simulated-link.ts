/** A connection in virtual time: with latency and bandwidth, silent in one direction or both on request, or damaging frames. */
import type { CoordinatorTransport, Side, WorkerTransport } from '@lockstep/protocol';
import type { Clock } from '../clock.ts';
import { LinkDirection, type LinkSpeed } from './link-direction.ts';
import { type MemoryPair, memoryPair } from './memory-pair.ts';

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

export class SimulatedLink {
  readonly worker: WorkerTransport;
  readonly coordinator: CoordinatorTransport;
  /** Why the worker ended it, where what had arrived was wrong, or where it could not go on: neither is a fault of a link. */
  workerFault: string | undefined;
  readonly #options: SimulatedLinkOptions;
  readonly #pair: MemoryPair;
  /** Each by the side that sends. */
  readonly #directions: Readonly<Record<Side, LinkDirection>>;
  /** A number in [0, 1) that says which bit of the worker's next frame flips. */
  #damage: number | undefined;

  constructor(options: SimulatedLinkOptions) {
    const { clock, speed, ends, workerName, encodes, pacedBytes } = options;
    this.#options = options;
    this.#directions = { coordinator: new LinkDirection(clock, speed), worker: new LinkDirection(clock, speed) };
    this.#pair = memoryPair({
      workerName,
      encode: encodes,
      ...(pacedBytes === undefined ? {} : { pacedBytes }),
      transmit: (frame, from) => (from === 'worker' ? this.#transmit(frame) : frame),
      schedule: (deliver, { from, kind, byteLength }) => {
        if (kind === 'local') ends[from].after(0, deliver);
        else this.#directions[from].carry(byteLength, ends[from === 'worker' ? 'coordinator' : 'worker'], deliver);
      },
    });
    this.worker = this.#noted(this.#pair.worker);
    this.coordinator = this.#counted(this.#pair.coordinator);
  }

  /** Both ends learn that the connection is gone, and what was under way is lost; on a silent link neither learns it. */
  cut(reason: string): void {
    const { coordinator, worker } = this.#directions;
    if (!coordinator.isSilent && !worker.isSilent) this.#pair.sever(reason);
  }

  /** Nothing from this side arrives for so long, and neither end is told: a half-open connection. */
  silence(from: Side, forMs: number): void {
    this.#directions[from].silence(forMs);
  }

  /** What is sent for so long is under way at a fraction of the link's speed. */
  slowDown(times: number, forMs: number): void {
    const { clock, speed } = this.#options;
    this.changeSpeed({ ...speed, bytesPerMs: speed.bytesPerMs / times });
    clock.after(forMs, () => this.changeSpeed(speed));
  }

  /** What is sent from now on is under way at another speed. */
  changeSpeed(speed: LinkSpeed): void {
    for (const direction of Object.values(this.#directions)) direction.speed = speed;
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

  /** The worker's end, which notes what it finds wrong. */
  #noted(transport: WorkerTransport): WorkerTransport {
    const { coordinator } = this.#directions;
    let isOpen = true;
    return {
      remote: transport.remote,
      get bufferedBytes() {
        return transport.bufferedBytes;
      },
      get receivedBytes() {
        return coordinator.receivedBytes;
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

  /** The coordinator's end, which tells how many bytes it has sent and received as a socket does. */
  #counted(transport: CoordinatorTransport): CoordinatorTransport {
    const { coordinator, worker } = this.#directions;
    return {
      remote: transport.remote,
      get bufferedBytes() {
        return transport.bufferedBytes;
      },
      get receivedBytes() {
        return worker.receivedBytes;
      },
      get sentBytes() {
        return coordinator.sentBytes;
      },
      listen: (listener) => transport.listen(listener),
      send: (message) => transport.send(message),
      sendVector: (stream) => transport.sendVector(stream),
      close: (code, reason) => transport.close(code, reason),
    };
  }
}
