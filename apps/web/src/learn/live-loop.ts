/** The live run in the lesson's thread: trains between requests, and sends a picture at regular intervals. */
import { chapters, type DigitsUse, type LessonContext, LiveRun } from '@lockstep/lesson';
import type { LiveAnswer, LivePhase, LiveRequest } from './messages.ts';

export class LiveLoop {
  readonly #contextFor: (use: DigitsUse | undefined) => Promise<LessonContext>;
  readonly #post: (answer: LiveAnswer) => void;
  #run: LiveRun | undefined;
  #phase: LivePhase = 'paused';
  #pace = { places: 1, pictureEveryMs: 30 };
  #isLooping = false;
  /** Requests are handled one after another: the first waits for the backend and the digits. */
  #last: Promise<void> = Promise.resolve();

  constructor(contextFor: (use: DigitsUse | undefined) => Promise<LessonContext>, post: (answer: LiveAnswer) => void) {
    this.#contextFor = contextFor;
    this.#post = post;
  }

  take(request: LiveRequest): void {
    this.#last = this.#last
      .then(() => this.#handle(request))
      .catch((error: unknown) => {
        this.#post({ type: 'live-failed', message: error instanceof Error ? error.message : String(error) });
      });
  }

  async #handle(request: LiveRequest): Promise<void> {
    switch (request.live) {
      case 'open':
        await this.#open(request);
        break;
      case 'train':
        this.#pace = request;
        this.#phase = 'training';
        break;
      case 'change':
        this.#run?.change(request.settings);
        this.#goOn();
        break;
      case 'restart':
        this.#run?.restart();
        this.#goOn();
        break;
      case 'step':
        this.#phase = this.#run?.advance() ? 'paused' : 'ended';
        break;
      case 'pause':
        this.#phase = 'paused';
        break;
      default:
        request satisfies never;
    }
    this.#show();
    if (this.#phase === 'training' && !this.#isLooping) void this.#loop();
  }

  async #open({ chapterId, settings }: Extract<LiveRequest, { live: 'open' }>): Promise<void> {
    const { live, digits } = chapters.find(({ id }) => id === chapterId) ?? {};
    if (!live) throw new Error(`expected a chapter with a live run, got ${chapterId}`);
    // Live runs use few digits, even in chapters that use all of them.
    const context = await this.#contextFor(digits && 'few');
    this.#run?.dispose();
    this.#run = new LiveRun(context, live, settings);
    this.#phase = 'paused';
  }

  /** Resumes training that had ended: the request may have begun a new curve. */
  #goOn(): void {
    if (this.#phase === 'ended') this.#phase = 'training';
  }

  async #loop(): Promise<void> {
    this.#isLooping = true;
    while (this.#phase === 'training') {
      for (let place = 0; place < this.#pace.places && this.#run?.advance(); place++);
      if (!this.#run?.canAdvance) this.#phase = 'ended';
      this.#show();
      await new Promise((resolve) => setTimeout(resolve, this.#pace.pictureEveryMs));
    }
    this.#isLooping = false;
  }

  #show(): void {
    if (this.#run) this.#post({ type: 'live', phase: this.#phase, exhibits: this.#run.exhibits() });
  }
}
