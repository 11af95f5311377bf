/** A worker's progress, as an occasional line. */

/** Totals since the worker joined. */
export interface Computed {
  /** The last step computed, counted from 1. */
  readonly step: number;
  readonly shards: number;
  readonly samples: number;
  readonly computeMs: number;
}

export class Progress {
  readonly #everyMs: number;
  #sinceMs: number;
  #before = { shards: 0, samples: 0, computeMs: 0 };

  constructor(nowMs: number, everyMs: number) {
    this.#sinceMs = nowMs;
    this.#everyMs = everyMs;
  }

  /** The line about the work since the last line, or undefined if that was too recent. */
  line({ step, shards, samples, computeMs }: Computed, nowMs: number): string | undefined {
    const elapsedMs = nowMs - this.#sinceMs;
    if (elapsedMs < this.#everyMs) return undefined;
    const { shards: shardsBefore, samples: samplesBefore, computeMs: computeMsBefore } = this.#before;
    const busy = Math.round((100 * (computeMs - computeMsBefore)) / elapsedMs);
    const counts = [shards - shardsBefore, samples - samplesBefore].map((value) => value.toLocaleString('en-US'));
    this.#sinceMs = nowMs;
    this.#before = { shards, samples, computeMs };
    const seconds = Math.round(elapsedMs / 1000);
    return `step ${step}: ${counts[0]} shards with ${counts[1]} samples in ${seconds} s, computing ${busy} % of the time`;
  }
}
