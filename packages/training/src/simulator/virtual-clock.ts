/** Time that passes only when somebody advances it: the same events in the same order, at every run. */
import type { Clock } from '../clock.ts';

interface Entry {
  readonly atMs: number;
  /** Breaks ties: what was scheduled first happens first. */
  readonly order: number;
  readonly run: () => void;
}

export class VirtualClock implements Clock {
  #nowMs = 0;
  #order = 0;
  #entries: Entry[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, callback: () => void): () => void {
    const entry = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, run: callback };
    let index = this.#entries.length;
    while (index > 0 && this.#entries[index - 1]!.atMs > entry.atMs) index--;
    this.#entries.splice(index, 0, entry);
    return () => {
      this.#entries = this.#entries.filter((other) => other !== entry);
    };
  }

  /** Runs the next thing that is due, moving time to it; false where nothing is. */
  step(): boolean {
    const entry = this.#entries.shift();
    if (!entry) return false;
    this.#nowMs = entry.atMs;
    entry.run();
    return true;
  }
}
