/** The computation of the open chapter: its exhibits, and whether it is still running. */
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

  /** Computes a chapter with these settings, and cancels any earlier computation. */
  start(chapterId: string, settings: Readonly<Record<string, Setting>>): void {
    // The exhibits of another chapter are cleared at once; those of the same chapter stay until new ones arrive.
    if (chapterId !== this.#chapterId) this.exhibits.value = [];
    this.#chapterId = chapterId;
    this.phase.value = { phase: 'computing' };
    this.#worker ??= this.#open();
    this.#worker.postMessage({ request: ++this.#request, chapterId, settings } satisfies ChapterRequest);
  }

  /** Ends the thread; `start` opens a new one. */
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
