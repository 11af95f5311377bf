/** Virtual time, advanced by the test: pauses end when due, one after another. */
import { setImmediate as settled } from 'node:timers/promises';
import type { FleetTime } from '../src/store.ts';

export class VirtualTime implements FleetTime {
  #nowMs = 0;
  #pauses: { readonly dueMs: number; readonly end: () => void }[] = [];

  readonly nowMs = (): number => this.#nowMs;

  readonly pause = (ms: number, signal: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      const end = (): void => {
        signal.removeEventListener('abort', end);
        resolve();
      };
      signal.addEventListener('abort', end);
      if (signal.aborted) end();
      this.#pauses.push({ dueMs: this.#nowMs + ms, end });
    });

  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    for (;;) {
      // Whatever has begun goes on until it pauses or is done.
      await settled();
      const next = this.#pauses.toSorted((a, b) => a.dueMs - b.dueMs)[0];
      if (!next || next.dueMs > untilMs) break;
      this.#pauses = this.#pauses.filter((pause) => pause !== next);
      this.#nowMs = next.dueMs;
      next.end();
    }
    this.#nowMs = untilMs;
  }

  /** Advances until the work is done, for at most 20 s. */
  async during<Value>(work: Promise<Value>): Promise<Value | 'waits'> {
    let isOver = false;
    const end = (): void => {
      isOver = true;
    };
    work.then(end, end);
    for (let ms = 0; ms < 20_000 && !isOver; ms += 500) await this.advance(500);
    return isOver ? work : 'waits';
  }
}
