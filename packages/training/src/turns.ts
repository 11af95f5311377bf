/** How long work lets other events have their turn: there is one way to wait for a turn, and three rules for when. */
import type { Clock } from './clock.ts';

/** Gives the events that wait their turn. */
export function turn(clock: Clock): Promise<void> {
  return new Promise((resolve) => void clock.after(0, resolve));
}

/** Other events wait at least this long, and at most about twice as long: a tenth of a second. */
const usualSliceMs = 50;

/**
 * Paces a long shard: how much of it to compute at once, and when other events have their turn in between. One for each
 * model, since it learns how fast the device computes it.
 */
export class Pacer {
  readonly #clock: Clock;
  readonly #sliceMs: number;
  #turnAtMs = 0;
  #sliceAtMs = 0;
  /** The fastest so far, so that neither compilation nor a busy moment makes later slices small. */
  #msPerSample = Number.POSITIVE_INFINITY;

  constructor(clock: Clock, sliceMs = usualSliceMs) {
    this.#clock = clock;
    this.#sliceMs = sliceMs;
  }

  /** Samples that take about one slice; 0 before the first was measured. */
  get sliceSamples(): number {
    return this.#sliceMs / this.#msPerSample;
  }

  /** Called when a shard begins, and after each pause. */
  begin(): void {
    this.#turnAtMs = this.#clock.nowMs();
    this.#sliceAtMs = this.#turnAtMs;
  }

  /** Measures the slice since `begin` or the last call; true if it is time for a pause. */
  endSlice(samples: number): boolean {
    const nowMs = this.#clock.nowMs();
    this.#msPerSample = Math.min(this.#msPerSample, (nowMs - this.#sliceAtMs) / samples);
    this.#sliceAtMs = nowMs;
    return nowMs - this.#turnAtMs >= this.#sliceMs;
  }

  /** Gives the event loop a turn. */
  async pause(): Promise<void> {
    await turn(this.#clock);
    this.begin();
  }
}

/** Neither the steps nor work beside them in one process should wait for each turn of the other. */
const besideStepsMs = 10;

/**
 * Pauses long work, such as an evaluation, after each of its parts.
 * @param isInline whether the steps are computed in this process; otherwise each call is a turn, for the workers' messages
 */
export function createPause(isInline: boolean, clock: Clock): () => Promise<void> {
  let turnAtMs = clock.nowMs();
  return async () => {
    if (isInline && clock.nowMs() - turnAtMs < besideStepsMs) return;
    await turn(clock);
    turnAtMs = clock.nowMs();
  };
}

/** Connections that take nothing for this long wait for their networks, which computing does not hold up. */
const stuckMs = 1;
/** Connections that go on taking are waited for about as long as a slice of computing takes. */
const mostMs = 10;

/**
 * Lets what is on its way to other workers leave before a worker of the coordinator's process computes: they cannot begin
 * before they have their weights, whereas this process has them.
 * @param unsent whether connections still wait for chunks, and how many were given to them
 */
export function createYield(
  unsent: () => { readonly isAny: boolean; readonly given: number },
  clock: Clock,
): () => Promise<void> {
  return async () => {
    const beganAtMs = clock.nowMs();
    let [movedAtMs, given] = [beganAtMs, unsent().given];
    for (;;) {
      await turn(clock);
      const left = unsent();
      const atMs = clock.nowMs();
      if (left.given !== given) [movedAtMs, given] = [atMs, left.given];
      if (!left.isAny || atMs - movedAtMs >= stuckMs || atMs - beganAtMs >= mostMs) return;
    }
  };
}
