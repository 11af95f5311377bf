/** Virtual time, and processes in it that freeze and die, with the disk that they leave. */
import type { Clock } from '../clock.ts';

interface Entry {
  readonly atMs: number;
  /** Of equal times, the one that was scheduled first comes first. */
  readonly order: number;
  /** Undefined once it is canceled. */
  run: (() => void) | undefined;
}

/** Time that passes only when the simulation advances it: the same events in the same order, in every run. */
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

/** Checkpoints that are kept. */
const mostKept = 3;

/** Where a simulated coordinator keeps its checkpoints: a disk that can be full, or damage what it holds. */
export class SimulatedDisk<Checkpoint> {
  /** Oldest first; undefined where it cannot be read. */
  #kept: (Checkpoint | undefined)[] = [];
  isFull = false;

  /** Keeps a checkpoint in the place of the oldest. @returns false, with what was there before untouched, where it is full */
  write(checkpoint: Checkpoint): boolean {
    if (this.isFull) return false;
    this.#kept = [...this.#kept, checkpoint].slice(-mostKept);
    return true;
  }

  /** Makes the newest readable checkpoint unreadable; false where there is none. */
  tearNewest(): boolean {
    const index = this.#kept.findLastIndex((checkpoint) => checkpoint !== undefined);
    if (index < 0) return false;
    this.#kept[index] = undefined;
    return true;
  }

  /** The newest that can be read. */
  newest(): Checkpoint | undefined {
    return this.#kept.findLast((checkpoint) => checkpoint !== undefined);
  }
}

/** A process in virtual time: while it is frozen its callbacks wait, and once it is dead they never run. */
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
