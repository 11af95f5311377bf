/** Time that passes only when the simulation advances it: the same events in the same order, in every run. */
import type { Clock } from '../clock.ts';

interface Entry {
  readonly atMs: number;
  readonly run: () => void;
}

export class VirtualClock implements Clock {
  #nowMs = 0;
  /** In the order of their time; of equal times, in the order of scheduling. */
  #entries: Entry[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, callback: () => void): () => void {
    const entry = { atMs: this.#nowMs + Math.max(0, delayMs), run: callback };
    let index = this.#entries.length;
    while (index > 0 && this.#entries[index - 1]!.atMs > entry.atMs) index--;
    this.#entries.splice(index, 0, entry);
    return () => {
      this.#entries = this.#entries.filter((other) => other !== entry);
    };
  }

  /** Moves time to the next callback and runs it; false where none is scheduled. */
  step(): boolean {
    const entry = this.#entries.shift();
    if (!entry) return false;
    this.#nowMs = entry.atMs;
    entry.run();
    return true;
  }
}
