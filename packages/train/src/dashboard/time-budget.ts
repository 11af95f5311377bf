/** Limits repeated work to a part of the time, however much it costs. */
export interface TimeBudgetOptions {
  readonly nowMs: () => number;
  /** The part of the time that the work may take, 0 to 1. */
  readonly part: number;
  readonly maxPauseMs: number;
}

export class TimeBudget {
  readonly #options: TimeBudgetOptions;
  #dueAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: TimeBudgetOptions) {
    this.#options = options;
  }

  /** Whether earlier work has been paid for by a pause. */
  get isDue(): boolean {
    return this.#options.nowMs() >= this.#dueAtMs;
  }

  spend(work: () => void): void {
    const { nowMs, part, maxPauseMs } = this.#options;
    const startedAtMs = nowMs();
    work();
    const endedAtMs = nowMs();
    const pauseMs = (endedAtMs - startedAtMs) * (1 / part - 1);
    this.#dueAtMs = Math.min(endedAtMs + maxPauseMs, Math.max(this.#dueAtMs, endedAtMs) + pauseMs);
  }
}
