/** Decides when long work yields to the event loop: one way to wait for a turn, and three rules for when. */
import type { Clock } from '@lockstep/protocol';

/** Yields to the events that are waiting. */
function turn(clock: Clock): Promise<void> {
  return new Promise((resolve) => void clock.after(0, resolve));
}

/** Other events wait at least this long, and at most about twice as long: a tenth of a second. */
const usualSliceMs = 50;

/**
 * Paces a long shard: decides how much of it to compute at once, and when to yield in between. Each model has its own
 * pacer, because the pacer learns how fast the device computes that model.
 */
export class Pacer {
  readonly #clock: Clock;
  readonly #sliceMs: number;
  #turnAtMs = 0;
  #sliceAtMs = 0;
  /** The fastest so far, so that neither compilation nor a busy moment shrinks later slices. */
  #msPerSample = Number.POSITIVE_INFINITY;

  constructor(clock: Clock, sliceMs = usualSliceMs) {
    this.#clock = clock;
    this.#sliceMs = sliceMs;
  }

  /** Samples that take about one slice; 0 before the first measurement. */
  get sliceSamples(): number {
    return this.#sliceMs / this.#msPerSample;
  }

  /** Starts timing; called at the start of a shard and after each pause. */
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

  /** Yields to the event loop. */
  async pause(): Promise<void> {
    await turn(this.#clock);
    this.begin();
  }
}

/** Shortest time between pauses if steps run in the same process: neither should wait for every turn of the other. */
const besideStepsMs = 10;

/**
 * Returns a function that long work, such as an evaluation, calls after each of its parts to yield.
 * @param isInline whether the steps are computed in this process; otherwise each call yields, for the workers' messages
 */
export function createPause(isInline: boolean, clock: Clock): () => Promise<void> {
  let turnAtMs = clock.nowMs();
  return async () => {
    if (isInline && clock.nowMs() - turnAtMs < besideStepsMs) return;
    await turn(clock);
    turnAtMs = clock.nowMs();
  };
}

/** Connections that accept nothing for this long are waiting for their networks, which computing does not hold up. */
const stuckMs = 1;
/** Longest wait for connections that keep accepting data: about as long as a slice of computing. */
const mostMs = 10;

/**
 * Lets outgoing data leave before a worker in the coordinator's process computes: remote workers cannot begin until
 * they have their weights, and this process already has them.
 * @param unsent whether connections still wait for chunks, and how many chunks were given to them
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
