/** Virtual time, processes in it that freeze and die, and the disk that outlives them. */
import type { Clock } from '@lockstep/protocol';

interface Entry {
  readonly atMs: number;
  /** Breaks ties between equal times: the entry scheduled first runs first. */
  readonly order: number;
  /** Undefined once canceled. */
  run: (() => void) | undefined;
}

/** A clock that only the simulation advances, so that every run has the same events in the same order. */
export class VirtualClock implements Clock {
  #nowMs = 0;
  #scheduled = 0;
  /** Binary heap: an entry comes before its children at `2 * index + 1` and `2 * index + 2`. */
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

  /** Advances time to the next callback and runs it; returns false if none is scheduled. */
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

/** Number of checkpoints kept. */
const mostKept = 3;

/** The disk of a simulated coordinator's checkpoints. It can be full, or damage what it holds. */
export class SimulatedDisk<Content> {
  /** Oldest first; undefined if unreadable. */
  #kept: (Content | undefined)[] = [];
  isFull = false;

  /** Keeps a checkpoint in place of the oldest. @returns false, with nothing changed, if the disk is full */
  write(checkpoint: Content): boolean {
    if (this.isFull) return false;
    this.#kept = [...this.#kept, checkpoint].slice(-mostKept);
    return true;
  }

  /** Removes the readable checkpoints for which this holds. */
  remove(isWrong: (checkpoint: Content) => boolean): void {
    this.#kept = this.#kept.filter((checkpoint) => checkpoint === undefined || !isWrong(checkpoint));
  }

  /** Makes the newest readable checkpoint unreadable; returns false if there is none. */
  tearNewest(): boolean {
    const index = this.#kept.findLastIndex((checkpoint) => checkpoint !== undefined);
    if (index < 0) return false;
    this.#kept[index] = undefined;
    return true;
  }

  /** Returns the newest readable checkpoint. */
  newest(): Content | undefined {
    return this.#kept.findLast((checkpoint) => checkpoint !== undefined);
  }
}

/** Delay before a process that was sent away, or ended before the run, is started again. */
export const restartMs = 2_000;

/** A process in virtual time. While it is frozen its callbacks wait; once it is dead they never run. */
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

  /** Ends it as `kill -9` does: none of its code runs any more. */
  kill(): void {
    this.#isDead = true;
  }

  /** Suspends its code for this long, as SIGSTOP does. */
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
