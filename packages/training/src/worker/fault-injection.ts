/** Faults that a worker injects into itself on request: for a while it freezes, or computes more slowly. */
import type { CoordinatorMessage } from '@lockstep/protocol';
import type { Clock } from '../clock.ts';
import type { ShardGradient } from './compute.ts';

/** How many times as long a slow worker takes. */
const slowFactor = 8;
/** The time from which a shard is slowed that takes no measurable time. */
const leastComputeMs = 1;

export class FaultInjector {
  readonly #clock: Clock;
  readonly #deliver: (message: CoordinatorMessage) => void;
  #frozenUntilMs = Number.NEGATIVE_INFINITY;
  #slowUntilMs = Number.NEGATIVE_INFINITY;
  #deferred: CoordinatorMessage[] = [];

  /** @param deliver takes the messages that arrived during a freeze, in order, when it is over */
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

  /** Whether the message is deferred: the worker is frozen, or earlier messages have not been delivered yet. */
  defers(message: CoordinatorMessage): boolean {
    if (!this.isFrozen && this.#deferred.length === 0) return false;
    this.#deferred.push(message);
    return true;
  }

  async thawed(): Promise<void> {
    while (this.isFrozen) await this.#wait(this.#frozenUntilMs - this.#clock.nowMs());
  }

  /** Computes; while the worker is slow, this takes a multiple of the time. */
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
