/** Takes copies of a run between two steps, and writes them while it goes on. */

import { webcrypto } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { WrittenCheckpoint } from '../record/recorder.ts';
import { errorMessage } from '../words.ts';
import { type Checkpoint, encodeCheckpoint } from './checkpoint.ts';
import type { CheckpointStore } from './store.ts';

export interface CheckpointerOptions {
  readonly store: Pick<CheckpointStore, 'write'>;
  /** Begins the names of the files. */
  readonly runName: string;
  readonly interval: CheckpointInterval;
  readonly nowMs: () => number;
  /** Steps taken so far. */
  readonly stepsTaken: () => number;
  /** A copy of all that the next step depends on, which no later step changes. */
  readonly copy: () => Checkpoint;
  /** The newest in the folder, where the run went on from it. */
  readonly newest: WrittenCheckpoint | undefined;
  readonly onWritten: (written: WrittenCheckpoint) => void;
  readonly log: (line: string, guestLine: string) => void;
}

export class Checkpointer {
  /** The last one that is on the disk. */
  newest: WrittenCheckpoint | undefined;
  readonly #options: CheckpointerOptions;
  readonly #clock: CheckpointClock;
  #writing: Promise<void> | undefined;
  #failed = false;
  #isUrgent = false;

  constructor(options: CheckpointerOptions) {
    this.#options = options;
    this.newest = options.newest;
    this.#clock = new CheckpointClock(options.interval, options.stepsTaken(), options.nowMs());
  }

  /** Called after each step, when it is whole: a copy of half a step would be of no run. */
  stepped(): void {
    const { stepsTaken, nowMs, copy } = this.#options;
    if (this.#writing !== undefined || !(this.#isUrgent || this.#clock.isDue(stepsTaken(), nowMs()))) return;
    this.#isUrgent = false;
    this.#clock.copied(stepsTaken(), nowMs());
    this.#writing = this.#save(copy(), '; training goes on without it').finally(() => {
      this.#writing = undefined;
    });
  }

  /** Takes the next copy after the next step: what earlier checkpoints say of the run is no longer true. */
  hurry(): void {
    this.#isUrgent = true;
  }

  /** Writes the run as it is now, after its last step here; resolves when that is done or has failed. */
  async finish(): Promise<void> {
    const { stepsTaken, copy } = this.#options;
    const last = stepsTaken() === 0 ? undefined : copy();
    await this.#writing;
    if (last && last.step !== this.newest?.step) await this.#save(last, '');
  }

  /** @param consequence of a failure, for people */
  async #save(checkpoint: Checkpoint, consequence: string): Promise<void> {
    const { store, runName, stepsTaken, onWritten, log } = this.#options;
    const { step } = checkpoint;
    try {
      // The next step's weights are sent first.
      await nextTurn();
      const file = await store.write(runName, step, await encodeCheckpoint(checkpoint, sha256OffThread));
      this.newest = { file, step };
      this.#clock.written(stepsTaken());
      onWritten(this.newest);
      const again = `checkpoints are written again, the last one after step ${step}`;
      if (this.#failed) log(again, again);
      this.#failed = false;
    } catch (error) {
      if (!this.#failed) {
        const what = `the checkpoint after step ${step} was not written`;
        log(`${what}: ${errorMessage(error)}${consequence}`, `${what}${consequence}`);
      }
      this.#failed = true;
    }
  }
}

/** Node computes it in a thread of its own. */
async function sha256OffThread(bytes: Uint8Array): Promise<string> {
  const hash = await webcrypto.subtle.digest('SHA-256', bytes);
  return Buffer.from(hash).toString('hex');
}

export type CheckpointInterval = { readonly steps: number } | { readonly minutes: number };

export const defaultInterval: CheckpointInterval = { minutes: 1 };

/** Such as `every 50 steps`. */
export function intervalText(interval: CheckpointInterval): string {
  const [count, unit] = 'steps' in interval ? [interval.steps, 'step'] : [interval.minutes, 'minute'];
  return count === 1 ? `every ${unit}` : `every ${count} ${unit}s`;
}

/** Steps that a write may last before one was measured, as a part of the interval: the first of a process compiles its code. */
const assumedPart = 0.5;
/** The next write may take longer than the last one by this factor. */
const reserve = 2;
/** The part of the interval that the next write may last however short the last one was: a write of no step says little of it. */
const leastPart = 0.1;
/** What is left of a slow write's length after each shorter one: what held it up may come back. */
const memory = 0.5;

/**
 * When the next copy is due. With an interval of N steps at most N are computed again: a copy is taken so many steps
 * before they are over as its way to the disk may last, but never more often than twice in N steps.
 */
export class CheckpointClock {
  readonly #interval: CheckpointInterval;
  #copiedStep: number;
  #copiedAtMs: number;
  #writeSteps: number;

  constructor(interval: CheckpointInterval, firstStep: number, nowMs: number) {
    this.#interval = interval;
    this.#copiedStep = firstStep;
    this.#copiedAtMs = nowMs;
    this.#writeSteps = 'steps' in interval ? (assumedPart * interval.steps) / reserve : 0;
  }

  /** @param step steps taken so far */
  isDue(step: number, nowMs: number): boolean {
    if ('minutes' in this.#interval) return nowMs - this.#copiedAtMs >= this.#interval.minutes * 60_000;
    const { steps } = this.#interval;
    const lasting = Math.max(Math.ceil(reserve * this.#writeSteps), Math.floor(leastPart * steps));
    const early = Math.min(lasting, Math.floor(steps / 2));
    return step - this.#copiedStep >= steps - early;
  }

  copied(step: number, nowMs: number): void {
    this.#copiedStep = step;
    this.#copiedAtMs = nowMs;
  }

  /** @param step steps taken when the copy was on the disk */
  written(step: number): void {
    this.#writeSteps = Math.max(step - this.#copiedStep, memory * this.#writeSteps);
  }
}
