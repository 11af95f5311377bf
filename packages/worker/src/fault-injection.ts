/** Faults that a worker injects into itself on request: it freezes, or computes more slowly, for a while. */

import type { ShardGradient } from '@lockstep/compute';
import type { Clock, CoordinatorMessage } from '@lockstep/protocol';

/** Slowdown of a slow worker's computation. */
const slowFactor = 8;
/** Compute time assumed for a shard too fast to measure, so that a slow worker is slow on it too. */
const leastComputeMs = 1;

export class FaultInjector {
  readonly #clock: Clock;
  readonly #deliver: (message: CoordinatorMessage) => void;
  #frozenUntilMs = Number.NEGATIVE_INFINITY;
  #slowUntilMs = Number.NEGATIVE_INFINITY;
  #deferred: CoordinatorMessage[] = [];

  /** @param deliver receives the messages that arrived during a freeze, in order, when the freeze is over */
  constructor(clock: Clock, deliver: (message: CoordinatorMessage) => void) {
    this.#clock = clock;
    this.#deliver = deliver;
  }

  get isFrozen(): boolean {
    return this.#clock.nowMs() < this.#frozenUntilMs;
  }

  inject(action: 'freeze' | 'slow', forMs: number): void {
    const untilMs = this.#clock.nowMs() + forMs;
    if (action === 'slow') {
      this.#slowUntilMs = untilMs;
      return;
    }
    const wasFrozen = this.isFrozen;
    this.#frozenUntilMs = untilMs;
    if (!wasFrozen) void this.#deliverDeferred();
  }

  /** Defers the message if the worker is frozen or earlier messages are undelivered; returns whether it did. */
  defers(message: CoordinatorMessage): boolean {
    if (!this.isFrozen && this.#deferred.length === 0) return false;
    this.#deferred.push(message);
    return true;
  }

  async thawed(): Promise<void> {
    while (this.isFrozen) await this.#wait(this.#frozenUntilMs - this.#clock.nowMs());
  }

  /** Computes; a slow worker takes a multiple of the time. */
  async slowed(compute: () => Promise<ShardGradient>): Promise<ShardGradient> {
    const result = await compute();
    if (this.#clock.nowMs() >= this.#slowUntilMs) return result;
    const computeMs = slowFactor * Math.max(leastComputeMs, result.computeMs);
    await this.#wait(computeMs - result.computeMs);
    return { ...result, computeMs };
  }

  async #deliverDeferred(): Promise<void> {
    await this.thawed();
    for (const message of this.#deferred.splice(0)) this.#deliver(message);
  }

  #wait(delayMs: number): Promise<void> {
    return new Promise((resolve) => void this.#clock.after(delayMs, resolve));
  }
}
