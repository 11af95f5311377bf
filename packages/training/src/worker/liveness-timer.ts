/** Notices a coordinator that has fallen silent. */
import type { Clock } from '../clock.ts';

/** The clock is looked at so many times within the longest silence. */
const looks = 8;

export class LivenessTimer {
  /** The longest silence of a coordinator that is alive. */
  patienceMs: number;
  readonly #clock: Clock;
  readonly #onSilence: (patienceMs: number) => void;
  #messageAtMs: number;
  #cancel = (): void => {};

  constructor(clock: Clock, patienceMs: number, onSilence: (patienceMs: number) => void) {
    this.#clock = clock;
    this.patienceMs = patienceMs;
    this.#onSilence = onSilence;
    this.#messageAtMs = clock.nowMs();
    this.#schedule();
  }

  restart(): void {
    this.#messageAtMs = this.#clock.nowMs();
  }

  stop(): void {
    this.#cancel();
  }

  #schedule(): void {
    this.#cancel = this.#clock.after(this.patienceMs / looks, () => {
      if (this.#clock.nowMs() - this.#messageAtMs > this.patienceMs) this.#onSilence(this.patienceMs);
      else this.#schedule();
    });
  }
}
