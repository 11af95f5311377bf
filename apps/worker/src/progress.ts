/** What a worker has computed, as a line now and then. */

export interface Computed {
  readonly step: number;
  /** Samples of the shard. */
  readonly count: number;
  readonly computeMs: number;
}

export class Progress {
  readonly #everyMs: number;
  #sinceMs: number;
  #shards = 0;
  #samples = 0;
  #computeMs = 0;

  constructor(nowMs: number, everyMs: number) {
    this.#sinceMs = nowMs;
    this.#everyMs = everyMs;
  }

  /** The line about everything since the last one, where that is long enough ago. */
  add({ step, count, computeMs }: Computed, nowMs: number): string | undefined {
    this.#shards += 1;
    this.#samples += count;
    this.#computeMs += computeMs;
    const elapsedMs = nowMs - this.#sinceMs;
    if (elapsedMs < this.#everyMs) return undefined;
    const busy = Math.round((100 * this.#computeMs) / elapsedMs);
    const [shards, samples] = [this.#shards, this.#samples].map((value) => value.toLocaleString('en-US'));
    this.#sinceMs = nowMs;
    this.#shards = this.#samples = this.#computeMs = 0;
    const seconds = Math.round(elapsedMs / 1000);
    return `step ${step + 1}: ${shards} shards with ${samples} samples in ${seconds} s, computing ${busy} % of the time`;
  }
}
