/** Limits rates: that of one connection by a token bucket, those of many clients by a bucket for each of them. */

export interface Rate {
  /** Burst: units that pass at once. */
  readonly capacity: number;
  readonly perSecond: number;
}

export class TokenBucket {
  readonly #rate: Rate;
  readonly #nowMs: () => number;
  #level: number;
  #atMs: number;

  constructor(rate: Rate, nowMs: () => number) {
    this.#rate = rate;
    this.#nowMs = nowMs;
    this.#level = rate.capacity;
    this.#atMs = nowMs();
  }

  /** Units left at this moment; below 0 if more were reserved than there were. */
  get level(): number {
    const nowMs = this.#nowMs();
    const { capacity, perSecond } = this.#rate;
    this.#level = Math.min(capacity, this.#level + ((nowMs - this.#atMs) / 1000) * perSecond);
    this.#atMs = nowMs;
    return this.#level;
  }

  /** Whether nothing is missing that was spent. */
  get isFull(): boolean {
    return this.level >= this.#rate.capacity;
  }

  spend(amount: number): void {
    this.#level = this.level - amount;
  }

  refund(amount: number): void {
    this.#level = Math.min(this.#rate.capacity, this.level + amount);
  }
}

/** Clients in each of the two generations that a limiter remembers. */
const maxClients = 4_096;

/** Delays what a client does too often, in the order in which it comes, and refuses only what would wait for too long. */
export class Limiter {
  readonly #rate: Rate;
  readonly #nowMs: () => number;
  readonly #longestWaitMs: number;
  #recent = new Map<string, TokenBucket>();
  #earlier = new Map<string, TokenBucket>();

  constructor(rate: Rate, longestWaitMs: number, nowMs: () => number) {
    this.#rate = rate;
    this.#longestWaitMs = longestWaitMs;
    this.#nowMs = nowMs;
  }

  /** Milliseconds that a client must wait now, 0 if it need not; undefined if that is longer than it may wait. */
  reserve(client: string): number | undefined {
    const bucket = this.#bucketOf(client);
    const waitMs = Math.max(0, ((1 - bucket.level) / this.#rate.perSecond) * 1000);
    if (waitMs > this.#longestWaitMs) return undefined;
    bucket.spend(1);
    return waitMs;
  }

  /** Takes a reservation back. */
  refund(client: string): void {
    this.#bucketOf(client).refund(1);
  }

  /** Whether a client has done nothing lately. */
  isRested(client: string): boolean {
    return this.#find(client)?.isFull ?? true;
  }

  #bucketOf(client: string): TokenBucket {
    const bucket = this.#find(client) ?? new TokenBucket(this.#rate, this.#nowMs);
    if (this.#recent.size === maxClients && !this.#recent.has(client)) {
      // A map whose first entry is deleted again and again takes ever longer to find it.
      this.#earlier = this.#recent;
      this.#recent = new Map();
    }
    this.#recent.set(client, bucket);
    return bucket;
  }

  #find(client: string): TokenBucket | undefined {
    return this.#recent.get(client) ?? this.#earlier.get(client);
  }
}
