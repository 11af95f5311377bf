/** Work in the order asked for, some of which waits for a kernel that is still being built. */

export interface Work {
  /** Left out where the work can be done at once. */
  readonly ready?: Promise<void> | undefined;
  do(): void;
}

export class WorkQueue {
  readonly #waiting: Work[] = [];
  readonly #onFailure: (error: Error) => void;
  #pumping: Promise<void> | undefined;
  #stopped = false;

  /** What fails later than it was asked for is reported to `onFailure`. */
  constructor(onFailure: (error: Error) => void) {
    this.#onFailure = onFailure;
  }

  add(work: Work): void {
    if (this.#pumping === undefined && work.ready === undefined) {
      work.do();
      return;
    }
    this.#waiting.push(work);
    this.#pumping ??= this.#pump();
  }

  /** Ends when all work asked for so far was done or has failed. Never rejects. */
  async drained(): Promise<void> {
    await this.#pumping;
  }

  /** Forgets the work that still waits. */
  stop(): void {
    this.#stopped = true;
    this.#waiting.length = 0;
  }

  async #pump(): Promise<void> {
    try {
      while (this.#waiting.length > 0) {
        await this.#waiting[0]!.ready;
        if (this.#stopped) break;
        this.#waiting.shift()!.do();
      }
    } catch (error) {
      this.#onFailure(error instanceof Error ? error : new Error(String(error)));
      this.#waiting.length = 0;
    } finally {
      this.#pumping = undefined;
    }
  }
}
