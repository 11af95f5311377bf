/** A token bucket: lets `capacity` through at once, and `perSecond` after that. */

export interface Rate {
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

  /** What may be spent at this moment; below 0 where more was spent than there was. */
  get level(): number {
    const nowMs = this.#nowMs();
    const { capacity, perSecond } = this.#rate;
    this.#level = Math.min(capacity, this.#level + ((nowMs - this.#atMs) / 1000) * perSecond);
    this.#atMs = nowMs;
    return this.#level;
  }

  spend(amount: number): void {
    this.#level = this.level - amount;
  }

  refund(amount: number): void {
    this.#level = Math.min(this.#rate.capacity, this.level + amount);
  }
}
