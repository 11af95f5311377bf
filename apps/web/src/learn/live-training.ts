/** The live run of the open chapter, as the page sees it: its pictures, its phase, and what a person does with it. */
import type { Exhibit, Setting } from '@lockstep/lesson';
import { signal } from '@preact/signals';
import type { LiveAnswer, LivePhase, LiveRequest } from './messages.ts';
import { openThread } from './open-thread.ts';

type Settings = Readonly<Record<string, Setting>>;

/** Where motion is not wanted, a picture stands for a second. */
const paces = {
  usual: { places: 1, pictureEveryMs: 30 },
  reduced: { places: 30, pictureEveryMs: 1000 },
} as const;

export class LiveTraining {
  readonly exhibits = signal<readonly Exhibit[]>([]);
  /** `unopened` until it is first trained: a person who only reads spends no computation. */
  readonly phase = signal<LivePhase | 'unopened' | 'failed'>('unopened');
  readonly message = signal('');
  readonly #chapterId: string;
  #worker: Worker | undefined;

  constructor(chapterId: string) {
    this.#chapterId = chapterId;
  }

  train(settings: Settings): void {
    this.#open(settings);
    const isReduced = matchMedia('(prefers-reduced-motion: reduce)').matches;
    this.#send({ live: 'train', ...paces[isReduced ? 'reduced' : 'usual'] });
    this.phase.value = 'training';
  }

  /** Trains one place of the curve. */
  step(settings: Settings): void {
    this.#open(settings);
    this.#send({ live: 'step' });
  }

  pause(): void {
    this.#send({ live: 'pause' });
  }

  change(settings: Settings): void {
    this.#send({ live: 'change', settings });
  }

  restart(): void {
    this.#send({ live: 'restart' });
  }

  /** Ends the thread, and forgets the curves; `train` opens another. */
  clear(): void {
    this.#worker?.terminate();
    this.#worker = undefined;
    this.exhibits.value = [];
    this.phase.value = 'unopened';
  }

  #open(settings: Settings): void {
    if (this.#worker) return;
    this.#worker = openThread<LiveAnswer>(
      (answer) => this.#take(answer),
      (message) => this.#fail(message),
    );
    this.#send({ live: 'open', chapterId: this.#chapterId, settings });
  }

  #send(request: LiveRequest): void {
    this.#worker?.postMessage(request);
  }

  #take(answer: LiveAnswer): void {
    if (answer.type === 'live-failed') {
      this.#fail(answer.message);
      return;
    }
    this.exhibits.value = answer.exhibits;
    this.phase.value = answer.phase;
  }

  #fail(message: string): void {
    this.message.value = message;
    this.phase.value = 'failed';
  }
}
