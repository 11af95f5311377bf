/** Virtual time, advanced by the test: repeated callbacks run when due, one after another. */
import type { Repeat } from '../src/repeat.ts';

interface Timer {
  readonly everyMs: number;
  readonly callback: () => Promise<void>;
  dueMs: number;
}

export class VirtualTime {
  #nowMs = 0;
  readonly #timers = new Set<Timer>();

  readonly nowMs = (): number => this.#nowMs;

  readonly repeat: Repeat = (everyMs, callback) => {
    const timer = { everyMs, callback, dueMs: this.#nowMs };
    this.#timers.add(timer);
    return async () => void this.#timers.delete(timer);
  };

  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    for (;;) {
      const [next] = [...this.#timers].sort((a, b) => a.dueMs - b.dueMs);
      if (!next || next.dueMs > untilMs) break;
      this.#nowMs = next.dueMs;
      next.dueMs += next.everyMs;
      await next.callback();
    }
    this.#nowMs = untilMs;
  }
}
