/** One direction of a link shared by several connections: their bytes take turns, leave at a rate, and arrive later. */
import type { Clock } from '@lockstep/protocol';

export interface LinkSpeed {
  readonly bytesPerMs: number;
  /** One-way latency. */
  readonly latencyMs: number;
}

/** The speed of a link before `limit` is called. */
const unlimited: LinkSpeed = { bytesPerMs: Number.POSITIVE_INFINITY, latencyMs: 0 };

/** Bytes per turn of a connection. */
const turnBytes = 4 * 1024;

/** The receiving end of one connection. */
export interface LaneEnd {
  deliver(bytes: Uint8Array): void;
  /** Called when this number of its bytes have left. */
  onLeft(byteLength: number): void;
}

interface Turn {
  readonly end: LaneEnd;
  readonly bytes: Uint8Array;
}

/** A timer that is late by up to this much does not lower the rate. */
const lateMs = 50;

export class LinkLane {
  readonly #clock: Clock;
  /** Turns in the order in which they leave. */
  readonly #turns: Turn[] = [];
  /** Bytes in flight of each connection: timers of different lengths may end in another order. */
  readonly #underWay = new Map<LaneEnd, Uint8Array[]>();
  #speed: LinkSpeed = unlimited;
  #freeAtMs = 0;
  #isWaiting = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Applies to bytes that leave from now on. */
  limit(speed: LinkSpeed): void {
    this.#speed = speed;
  }

  send(end: LaneEnd, bytes: Uint8Array): void {
    for (let from = 0; from < bytes.length; from += turnBytes) {
      this.#enqueue({ end, bytes: bytes.subarray(from, from + turnBytes) });
    }
    this.#serve();
  }

  /** Drops the bytes that have not arrived. */
  forget(end: LaneEnd): void {
    const kept = this.#turns.filter((turn) => turn.end !== end);
    this.#turns.splice(0, this.#turns.length, ...kept);
    this.#underWay.delete(end);
  }

  /** Inserts a turn after all turns of its own connection, and after as many of each other connection. */
  #enqueue(turn: Turn): void {
    const own = this.#turns.filter(({ end }) => end === turn.end).length;
    const counts = new Map<LaneEnd, number>();
    let at = 0;
    for (const { end } of this.#turns) {
      const before = counts.get(end) ?? 0;
      if (before > own) break;
      counts.set(end, before + 1);
      at += 1;
    }
    this.#turns.splice(at, 0, turn);
  }

  #serve(): void {
    if (this.#isWaiting) return;
    const { bytesPerMs, latencyMs } = this.#speed;
    for (let turn = this.#turns[0]; turn; turn = this.#turns[0]) {
      const nowMs = this.#clock.nowMs();
      if (this.#freeAtMs > nowMs) {
        this.#isWaiting = true;
        this.#clock.after(this.#freeAtMs - nowMs, () => {
          this.#isWaiting = false;
          this.#serve();
        });
        return;
      }
      this.#turns.shift();
      const { end, bytes } = turn;
      this.#freeAtMs = Math.max(this.#freeAtMs, nowMs - lateMs) + bytes.length / bytesPerMs;
      end.onLeft(bytes.length);
      this.#carry(end, bytes, this.#freeAtMs + latencyMs - nowMs);
    }
  }

  #carry(end: LaneEnd, bytes: Uint8Array, forMs: number): void {
    const underWay = this.#underWay.get(end) ?? [];
    this.#underWay.set(end, underWay);
    if (forMs <= 0 && underWay.length === 0) {
      end.deliver(bytes);
      return;
    }
    underWay.push(bytes);
    this.#clock.after(Math.max(0, forMs), () => {
      const next = this.#underWay.get(end) === underWay ? underWay.shift() : undefined;
      if (next) end.deliver(next);
    });
  }
}
