/** Work in the order asked for, some of which waits for a kernel that is still being built. */

export class WorkQueue {
  readonly #waiting: { readonly work: () => void; readonly ready: Promise<void> | undefined }[] = [];
  readonly #onFailure: (error: Error) => void;
  #pumping: Promise<void> | undefined;
  #stopped = false;

  /** What fails later than it was asked for is reported to `onFailure`. */
  constructor(onFailure: (error: Error) => void) {
    this.#onFailure = onFailure;
  }

  /** Without `ready`, the work can be done at once. */
  add(work: () => void, ready?: Promise<void>): void {
    if (this.#pumping === undefined && ready === undefined) {
      work();
      return;
    }
    this.#waiting.push({ work, ready });
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
