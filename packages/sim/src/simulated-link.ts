/** A link between two simulated processes: latency, bandwidth and damage in each direction. */

import {
  type Clock,
  type CoordinatorTransport,
  type MemoryPair,
  memoryPair,
  type Side,
  type WorkerTransport,
} from '@lockstep/protocol';

/** Speed of a link. Frames are sent one after another; each also takes the latency to arrive. */
export interface LinkSpeed {
  readonly latencyMs: number;
  readonly bytesPerMs: number;
}

/** A frame on its way. */
interface Transfer {
  readonly beginsAtMs: number;
  readonly endsAtMs: number;
  readonly byteLength: number;
}

/** One direction of a link. Frames follow one another at the link's speed; bytes of an unfinished frame count. */
class LinkDirection {
  speed: LinkSpeed;
  /** Bytes of the frames handed to the link so far. */
  sentBytes = 0;
  readonly #clock: Clock;
  readonly #transfers: Transfer[] = [];
  /** When the last frame has left. */
  #freeAtMs = 0;
  #silentUntilMs = 0;
  /** Bytes of frames that have arrived completely. */
  #wholeBytes = 0;
  #receivedBefore = 0;

  constructor(clock: Clock, speed: LinkSpeed) {
    this.#clock = clock;
    this.speed = speed;
  }

  get isSilent(): boolean {
    return this.#silentUntilMs > this.#clock.nowMs();
  }

  /** Delays all arrivals until this long from now. */
  silence(forMs: number): void {
    this.#silentUntilMs = Math.max(this.#silentUntilMs, this.#clock.nowMs() + forMs);
  }

  /** Calls back on the receiver's clock when a frame has arrived. */
  carry(byteLength: number, receiver: Clock, deliver: () => void): void {
    const { latencyMs, bytesPerMs } = this.speed;
    const nowMs = this.#clock.nowMs();
    const beginsAtMs = Math.max(nowMs, this.#freeAtMs);
    const endsAtMs = beginsAtMs + byteLength / bytesPerMs;
    this.#freeAtMs = endsAtMs;
    this.sentBytes += byteLength;
    this.#transfers.push({ beginsAtMs, endsAtMs, byteLength });
    const arrive = (): void => {
      const silentMs = this.#silentUntilMs - this.#clock.nowMs();
      if (silentMs > 0) receiver.after(silentMs, arrive);
      else deliver();
    };
    receiver.after(endsAtMs + latencyMs - nowMs, arrive);
  }

  /** Bytes that have arrived, including part of an unfinished frame. */
  get receivedBytes(): number {
    if (this.isSilent) return this.#receivedBefore;
    const sentAtMs = this.#clock.nowMs() - this.speed.latencyMs;
    while (this.#transfers[0] && this.#transfers[0].endsAtMs <= sentAtMs) {
      this.#wholeBytes += this.#transfers.shift()!.byteLength;
    }
    this.#receivedBefore = Math.max(this.#receivedBefore, this.#wholeBytes + partOf(this.#transfers[0], sentAtMs));
    return this.#receivedBefore;
  }
}

/** Returns the bytes of a frame that have left by then. */
function partOf(transfer: Transfer | undefined, atMs: number): number {
  if (!transfer || atMs <= transfer.beginsAtMs) return 0;
  const { beginsAtMs, endsAtMs, byteLength } = transfer;
  return Math.floor((byteLength * (atMs - beginsAtMs)) / (endsAtMs - beginsAtMs));
}

/** Buffered bytes on a link from which vectors wait: about one chunk, so that messages overtake later chunks. */
const pacedBytes = 150;

interface SimulatedLinkOptions {
  readonly clock: Clock;
  readonly speed: LinkSpeed;
  /** The process at each end. Arrivals wait while it is frozen, and are lost once it is dead. */
  readonly ends: Readonly<Record<Side, Clock>>;
  readonly workerName: string;
  /** Whether messages travel as encoded frames; only frames can be damaged. */
  readonly encodes: boolean;
}

/**
 * A connection in virtual time with latency and bandwidth; on request, one direction goes silent or a frame is damaged.
 */
export class SimulatedLink {
  readonly worker: WorkerTransport;
  readonly coordinator: CoordinatorTransport;
  /** Why the worker ended the connection, if it received invalid data or could not go on: a link may cause neither. */
  workerFault: string | undefined;
  readonly #options: SimulatedLinkOptions;
  readonly #pair: MemoryPair;
  /** Directions by sending side. */
  readonly #directions: Readonly<Record<Side, LinkDirection>>;
  /** A number in [0, 1) that selects the bit of the worker's next frame to flip. */
  #damage: number | undefined;

  constructor(options: SimulatedLinkOptions) {
    const { clock, speed, ends, workerName, encodes } = options;
    this.#options = options;
    this.#directions = { coordinator: new LinkDirection(clock, speed), worker: new LinkDirection(clock, speed) };
    this.#pair = memoryPair({
      workerName,
      encode: encodes,
      pacedBytes,
      transmit: (frame, from) => (from === 'worker' ? this.#transmit(frame) : frame),
      traffic: (side) => ({
        sentBytes: this.#directions[side].sentBytes,
        receivedBytes: this.#directions[side === 'worker' ? 'coordinator' : 'worker'].receivedBytes,
      }),
      schedule: (deliver, { from, kind, byteLength }) => {
        if (kind === 'local') ends[from].after(0, deliver);
        else this.#directions[from].carry(byteLength, ends[from === 'worker' ? 'coordinator' : 'worker'], deliver);
      },
    });
    this.worker = this.#pair.worker;
    this.coordinator = this.#pair.coordinator;
    this.#watch(this.worker);
  }

  /** Breaks the connection: both ends are told, and data in flight is lost. Does nothing on a silent link. */
  cut(reason: string): void {
    const { coordinator, worker } = this.#directions;
    if (!coordinator.isSilent && !worker.isSilent) this.#pair.sever(reason);
  }

  /** Delays everything from this side for this long, without telling either end: a half-open connection. */
  silence(from: Side, forMs: number): void {
    this.#directions[from].silence(forMs);
  }

  /** Reduces the bandwidth for this long. */
  slowDown(times: number, forMs: number): void {
    const { clock, speed } = this.#options;
    this.changeSpeed({ ...speed, bytesPerMs: speed.bytesPerMs / times });
    clock.after(forMs, () => this.changeSpeed(speed));
  }

  /** Sets the speed of everything sent from now on. */
  changeSpeed(speed: LinkSpeed): void {
    for (const direction of Object.values(this.#directions)) direction.speed = speed;
  }

  /** Flips one bit of the worker's next frame. @param choice a number in [0, 1) that selects the bit */
  damageNext(choice: number): void {
    if (!this.#options.encodes) throw new Error('simulation: only encoded frames can be damaged');
    this.#damage = choice;
  }

  /** Whether the coordinator's end is that process. */
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

  /** Notes what the worker finds wrong. */
  #watch(worker: WorkerTransport): void {
    const [listen, close] = [worker.listen.bind(worker), worker.close.bind(worker)];
    let isOpen = true;
    worker.listen = ({ onMessage, onClose }) =>
      listen({
        onMessage,
        onClose: (closing) => {
          isOpen = false;
          onClose(closing);
        },
      });
    worker.close = (code, reason) => {
      if (isOpen && (code === 1002 || code === 1011)) this.workerFault = reason;
      isOpen = false;
      close(code, reason);
    };
  }
}
