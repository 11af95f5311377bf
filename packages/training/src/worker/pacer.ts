/** Paces a long shard: how much of it to compute at once, and when other events have their turn in between. */
import type { Clock } from '../clock.ts';

/** Other events wait at least this long, and at most about twice as long: a tenth of a second. */
const usualSliceMs = 50;

/** One for each model, since it learns how fast the device computes it. */
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

  /** Called where a shard begins, and after each pause. */
  begin(): void {
    this.#turnAtMs = this.#clock.nowMs();
    this.#sliceAtMs = this.#turnAtMs;
  }

  /** Measures the slice since `begin` or the last call; true where it is time for a pause. */
  endSlice(samples: number): boolean {
    const nowMs = this.#clock.nowMs();
    this.#msPerSample = Math.min(this.#msPerSample, (nowMs - this.#sliceAtMs) / samples);
    this.#sliceAtMs = nowMs;
    return nowMs - this.#turnAtMs >= this.#sliceMs;
  }

  /** Gives the event loop a turn. */
  async pause(): Promise<void> {
    await new Promise<void>((resolve) => void this.#clock.after(0, resolve));
    this.begin();
  }
}
