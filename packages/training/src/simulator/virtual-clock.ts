/** Time that passes only when the simulation advances it: the same events in the same order, in every run. */
import type { Clock } from '../clock.ts';

interface Entry {
  readonly atMs: number;
  /** Of equal times, the one that was scheduled first comes first. */
  readonly order: number;
  /** Undefined once it is canceled. */
  run: (() => void) | undefined;
}

export class VirtualClock implements Clock {
  #nowMs = 0;
  #scheduled = 0;
  /** A binary heap: an entry comes before the two below it, at `2 * index + 1` and the next. */
  readonly #heap: Entry[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, callback: () => void): () => void {
    this.#scheduled += 1;
    const entry: Entry = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#scheduled, run: callback };
    this.#push(entry);
    return () => {
      entry.run = undefined;
    };
  }

  /** Moves time to the next callback and runs it; false where none is scheduled. */
  step(): boolean {
    for (let entry = this.#pop(); entry; entry = this.#pop()) {
      if (!entry.run) continue;
      this.#nowMs = entry.atMs;
      entry.run();
      return true;
    }
    return false;
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let at = heap.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(entry, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = entry;
  }

  #pop(): Entry | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (!last || heap.length === 0) return first;
    let at = 0;
    for (let child = 1; child < heap.length; child = 2 * at + 1) {
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

function isBefore(one: Entry, other: Entry): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order);
}
