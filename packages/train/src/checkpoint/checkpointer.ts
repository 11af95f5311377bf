/** Copies a run between two steps, and writes the copies while the run goes on. */
import { webcrypto } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { WrittenCheckpoint } from '../record/recorder.ts';
import { errorMessage } from '../words.ts';
import { type Checkpoint, encodeCheckpoint } from './checkpoint.ts';
import { CheckpointClock, type CheckpointInterval } from './interval.ts';
import type { CheckpointStore } from './store.ts';

export interface CheckpointerOptions {
  readonly store: Pick<CheckpointStore, 'write'>;
  /** Prefix of the file names. */
  readonly runName: string;
  readonly interval: CheckpointInterval;
  readonly nowMs: () => number;
  /** Steps taken so far. */
  readonly stepsTaken: () => number;
  /** Copies everything the next step depends on; later steps do not change the copy. */
  readonly copy: () => Checkpoint;
  /** The newest checkpoint in the folder, if the run resumed from it. */
  readonly newest: WrittenCheckpoint | undefined;
  readonly onWritten: (written: WrittenCheckpoint) => void;
  readonly log: (line: string, guestLine: string) => void;
}

export class Checkpointer {
  /** The last checkpoint written to disk. */
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

  /** Called after each complete step: a copy of half a step would belong to no run. */
  stepped(): void {
    const { stepsTaken, nowMs, copy } = this.#options;
    if (this.#writing !== undefined || !(this.#isUrgent || this.#clock.isDue(stepsTaken(), nowMs()))) return;
    this.#isUrgent = false;
    this.#clock.copied(stepsTaken(), nowMs());
    this.#writing = this.#save(copy(), '; training goes on without it').finally(() => {
      this.#writing = undefined;
    });
  }

  /** Takes the next copy after the next step, because earlier checkpoints now state something false about the run. */
  hurry(): void {
    this.#isUrgent = true;
  }

  /** Writes the final state of the run; resolves when that is done or has failed. */
  async finish(): Promise<void> {
    const { stepsTaken, copy } = this.#options;
    const last = stepsTaken() === 0 ? undefined : copy();
    await this.#writing;
    if (last && last.step !== this.newest?.step) await this.#save(last, '');
  }

  /** @param consequence consequence of a failure, for people */
  async #save(checkpoint: Checkpoint, consequence: string): Promise<void> {
    const { store, runName, stepsTaken, onWritten, log } = this.#options;
    const { step } = checkpoint;
    try {
      // Lets the next step's weights be sent first.
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

/** Node computes the hash in a separate thread. */
async function sha256OffThread(bytes: Uint8Array): Promise<string> {
  const hash = await webcrypto.subtle.digest('SHA-256', bytes);
  return Buffer.from(hash).toString('hex');
}
