/** How often viewers are told something, so that a room full of them takes a small part of the time and no more. */
export interface Pace {
  /** Whether so much time has passed since the last work that more may be done. */
  isDue(): boolean;
  /** Does something, and finds out what it costs. */
  spend(work: () => void): void;
}

export interface PaceOptions {
  readonly nowMs: () => number;
  /** The part of the time that the work may take, from 0 to 1. */
  readonly part: number;
  /** However much it costs, it is done again after so long. */
  readonly mostMs: number;
}

export function createPace({ nowMs, part, mostMs }: PaceOptions): Pace {
  let restUntilMs = Number.NEGATIVE_INFINITY;
  return {
    isDue: () => nowMs() >= restUntilMs,
    spend(work) {
      const startedAtMs = nowMs();
      work();
      const endedAtMs = nowMs();
      const restMs = (endedAtMs - startedAtMs) * (1 / part - 1);
      restUntilMs = Math.min(endedAtMs + mostMs, Math.max(restUntilMs, endedAtMs) + restMs);
    },
  };
}
