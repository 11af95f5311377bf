/** A process in virtual time: while it is frozen its callbacks wait, and once it is dead they never run. */
import type { Clock } from '../clock.ts';

export class SimulatedProcess implements Clock {
  readonly #clock: Clock;
  #isDead = false;
  #frozenUntilMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  /** Ends it as `kill -9` does: no more of its code runs. */
  kill(): void {
    this.#isDead = true;
  }

  /** Runs none of its code for so long, as SIGSTOP does. */
  freeze(forMs: number): void {
    this.#frozenUntilMs = Math.max(this.#frozenUntilMs, this.nowMs() + forMs);
  }

  nowMs(): number {
    return this.#clock.nowMs();
  }

  after(delayMs: number, callback: () => void): () => void {
    let cancel = (): void => {};
    const attempt = (): void => {
      if (this.#isDead) return;
      const waitMs = this.#frozenUntilMs - this.nowMs();
      if (waitMs > 0) cancel = this.#clock.after(waitMs, attempt);
      else callback();
    };
    cancel = this.#clock.after(delayMs, attempt);
    return () => cancel();
  }
}
