/** A computation in a thread of its own, as the page sees it: its newest exhibits and its phase. */
import type { Exhibit } from '@lockstep/lesson';
import { signal } from '@preact/signals';
import type { ChapterRequest, LessonAnswer, LiveRequest, Phase } from './messages.ts';

/** Opens the lesson's thread. An error of its script becomes an answer. */
export function openThread(onAnswer: (answer: LessonAnswer) => void): Worker {
  const worker = new Worker(new URL('./lesson-thread.ts', import.meta.url), { type: 'module', name: 'lesson' });
  worker.addEventListener('message', ({ data }: MessageEvent<LessonAnswer>) => onAnswer(data));
  worker.addEventListener('error', ({ message }) => {
    onAnswer({ type: 'failed', message: message || 'the script of its thread did not load' });
  });
  return worker;
}

export class Computation {
  readonly exhibits = signal<readonly Exhibit[]>([]);
  readonly phase = signal<Phase | 'failed'>('computing');
  /** Why the computation failed. */
  readonly failure = signal('');
  #worker: Worker | undefined;
  #request = 0;

  /** Computes a chapter, which cancels any earlier computation, or controls a live run. */
  send(request: Omit<ChapterRequest, 'request'> | LiveRequest): void {
    this.#worker ??= openThread((answer) => this.#take(answer));
    if (request.type === 'chapter' || request.type === 'open') this.phase.value = 'computing';
    this.#worker.postMessage(request.type === 'chapter' ? { ...request, request: ++this.#request } : request);
  }

  /** Ends the thread; `send` opens a new one. */
  stop(): void {
    this.#worker?.terminate();
    this.#worker = undefined;
  }

  #take(answer: LessonAnswer): void {
    if (answer.type === 'inspected') return;
    if (answer.request !== undefined && answer.request !== this.#request) return;
    if (answer.type === 'failed') {
      this.failure.value = answer.message;
      this.phase.value = 'failed';
      return;
    }
    this.exhibits.value = answer.exhibits;
    this.phase.value = answer.phase;
  }
}
