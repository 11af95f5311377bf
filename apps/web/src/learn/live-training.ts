/** The live run of the open chapter, as the page sees it: its exhibits, its phase and its buttons. */
import type { Exhibit, Setting } from '@lockstep/lesson';
import { signal } from '@preact/signals';
import type { LiveAnswer, LivePhase, LiveRequest } from './messages.ts';
import { openThread } from './open-thread.ts';

type Settings = Readonly<Record<string, Setting>>;

/** With reduced motion, each picture stays for one second. */
const paces = {
  usual: { places: 1, pictureEveryMs: 30 },
  reduced: { places: 30, pictureEveryMs: 1000 },
} as const;

export class LiveTraining {
  readonly exhibits = signal<readonly Exhibit[]>([]);
  readonly phase = signal<LivePhase | 'opening' | 'failed'>('opening');
  readonly message = signal('');
  readonly #chapterId: string;
  #worker: Worker | undefined;

  constructor(chapterId: string) {
    this.#chapterId = chapterId;
  }

  /** Shows the data and the untrained network. */
  open(settings: Settings): void {
    this.#worker = openThread<LiveAnswer>(
      (answer) => this.#take(answer),
      (message) => this.#fail(message),
    );
    this.#send({ live: 'open', chapterId: this.#chapterId, settings });
  }

  train(): void {
    const isReduced = matchMedia('(prefers-reduced-motion: reduce)').matches;
    this.#send({ live: 'train', ...paces[isReduced ? 'reduced' : 'usual'] });
    this.phase.value = 'training';
  }

  /** Trains one point of the curve. */
  step(): void {
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

  /** Clears the curves and shows the untrained network again. */
  clear(settings: Settings): void {
    this.phase.value = 'opening';
    this.#send({ live: 'open', chapterId: this.#chapterId, settings });
  }

  /** Ends the thread; `open` starts a new one. */
  stop(): void {
    this.#worker?.terminate();
    this.#worker = undefined;
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
