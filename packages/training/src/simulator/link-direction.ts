/** One direction of a simulated link: frames follow one another at the link's speed, and bytes of an unfinished one count. */
import type { Clock } from '../clock.ts';

/** Frames follow one another, and each is under way for the latency as well. */
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

export class LinkDirection {
  speed: LinkSpeed;
  /** Of the frames handed to the link so far. */
  sentBytes = 0;
  readonly #clock: Clock;
  readonly #transfers: Transfer[] = [];
  /** When the last frame has left. */
  #freeAtMs = 0;
  #silentUntilMs = 0;
  /** Bytes of frames that have arrived whole. */
  #wholeBytes = 0;
  #receivedBefore = 0;

  constructor(clock: Clock, speed: LinkSpeed) {
    this.#clock = clock;
    this.speed = speed;
  }

  get isSilent(): boolean {
    return this.#silentUntilMs > this.#clock.nowMs();
  }

  /** Nothing arrives for so long. */
  silence(forMs: number): void {
    this.#silentUntilMs = Math.max(this.#silentUntilMs, this.#clock.nowMs() + forMs);
  }

  /** Calls back on the receiver's clock once a frame has arrived. */
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

  /** Bytes that have arrived, part of an unfinished frame included. */
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

/** Bytes of a frame that have left by then. */
function partOf(transfer: Transfer | undefined, atMs: number): number {
  if (!transfer || atMs <= transfer.beginsAtMs) return 0;
  const { beginsAtMs, endsAtMs, byteLength } = transfer;
  return Math.floor((byteLength * (atMs - beginsAtMs)) / (endsAtMs - beginsAtMs));
}
