/** Where a simulated coordinator keeps its checkpoints: a disk that can be full, or damage what it holds. */

/** Checkpoints that are kept. */
const mostKept = 3;

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
