/** The computation of the open chapter: what it shows, and whether it goes on. */
import type { Exhibit, Setting } from '@lockstep/lesson';
import { signal } from '@preact/signals';
import type { ChapterAnswer, ChapterRequest } from './messages.ts';
import { openThread } from './open-thread.ts';

export type RunPhase =
  | { readonly phase: 'computing' }
  | { readonly phase: 'done' }
  | { readonly phase: 'failed'; readonly message: string };

export class ChapterRun {
  readonly exhibits = signal<readonly Exhibit[]>([]);
  readonly phase = signal<RunPhase>({ phase: 'computing' });
  #worker: Worker | undefined;
  #request = 0;
  #chapterId: string | undefined;

  /** Computes a chapter with these settings; what was computed before ends. */
  start(chapterId: string, settings: Readonly<Record<string, Setting>>): void {
    // What another chapter has shown means nothing here; the last picture of the same one stays until the next.
    if (chapterId !== this.#chapterId) this.exhibits.value = [];
    this.#chapterId = chapterId;
    this.phase.value = { phase: 'computing' };
    this.#worker ??= this.#open();
    this.#worker.postMessage({ request: ++this.#request, chapterId, settings } satisfies ChapterRequest);
  }

  /** Ends the thread; `start` opens another. */
  stop(): void {
    this.#worker?.terminate();
    this.#worker = undefined;
  }

  #open(): Worker {
    return openThread<ChapterAnswer>(
      (answer) => this.#take(answer),
      (message) => {
        this.phase.value = { phase: 'failed', message };
      },
    );
  }

  #take(answer: ChapterAnswer): void {
    if (answer.request !== this.#request) return;
    switch (answer.type) {
      case 'shown':
        this.exhibits.value = answer.exhibits;
        return;
      case 'done':
        this.phase.value = { phase: 'done' };
        return;
      case 'failed':
        this.phase.value = { phase: 'failed', message: answer.message };
        return;
      default:
        answer satisfies never;
    }
  }
}
