/** Work in the order requested, some of which waits for a kernel that is still being built. */

export class WorkQueue {
  readonly #waiting: { readonly work: () => void; readonly ready: Promise<void> | undefined }[] = [];
  readonly #onFailure: (error: Error) => void;
  #pumping: Promise<void> | undefined;
  #stopped = false;

  /** Reports failures of delayed work to `onFailure`. */
  constructor(onFailure: (error: Error) => void) {
    this.#onFailure = onFailure;
  }

  /** Adds work, which runs at once unless `ready` is given or earlier work is still waiting. */
  add(work: () => void, ready?: Promise<void>): void {
    if (this.#pumping === undefined && ready === undefined) {
      work();
      return;
    }
    this.#waiting.push({ work, ready });
    this.#pumping ??= this.#pump();
  }

  /** Resolves when all work requested so far is done or has failed. Never rejects. */
  async drained(): Promise<void> {
    await this.#pumping;
  }

  /** Discards the work that is still waiting. */
  stop(): void {
    this.#stopped = true;
    this.#waiting.length = 0;
  }

  async #pump(): Promise<void> {
    try {
      while (this.#waiting.length > 0) {
        await this.#waiting[0]!.ready;
        if (this.#stopped) break;
        this.#waiting.shift()!.work();
      }
    } catch (error) {
      this.#onFailure(error instanceof Error ? error : new Error(String(error)));
      this.#waiting.length = 0;
    } finally {
      this.#pumping = undefined;
    }
  }
}
