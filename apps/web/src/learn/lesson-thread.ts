/** The lesson's thread: computes chapters, live runs and inspections, so that the page stays responsive. */
import { errorMessage } from '@lockstep/data/shown';
import {
  chapters,
  type DigitsUse,
  type Exhibit,
  type LessonContext,
  LiveRun,
  textExhibits,
  traceSample,
  viewWeights,
} from '@lockstep/lesson';
import { parseModel } from '@lockstep/nn';
import { floatsFrom } from '@lockstep/protocol';
import { type HostBackend, openBackend } from '@lockstep/tensor';
import { fetchDigits } from './digits.ts';
import type {
  ChapterRequest,
  Inspected,
  InspectRequest,
  LessonAnswer,
  LessonRequest,
  LiveRequest,
  Phase,
} from './messages.ts';

/** Milliseconds between two pictures, so that the eye can follow and the next request can arrive. */
const pictureEveryMs = 30;

addEventListener('message', ({ data }: MessageEvent<LessonRequest>) => {
  if (data.type === 'chapter') {
    computeChapter(data).catch(failed(data.request));
  } else if (data.type === 'inspect') {
    openHost()
      .then((backend) => post({ type: 'inspected', inspected: inspect(backend, data) }))
      .catch(failed());
  } else {
    live.take(data);
  }
});

function post(answer: LessonAnswer): void {
  postMessage(answer);
}

function failed(request?: number) {
  return (error: unknown): void => {
    post({ type: 'failed', message: errorMessage(error), ...(request === undefined ? {} : { request }) });
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

let opened: Promise<{ readonly backend: HostBackend }> | undefined;

async function openHost(): Promise<HostBackend> {
  opened ??= openBackend('auto');
  return (await opened).backend;
}

async function contextFor(use: DigitsUse | undefined): Promise<LessonContext> {
  const [backend, digits] = await Promise.all([openHost(), use && fetchDigits(use)]);
  return { backend, digits, nowMs: () => performance.now() };
}

let newest = 0;

async function computeChapter({ request, chapterId, settings }: ChapterRequest): Promise<void> {
  newest = request;
  const chapter = chapters.find(({ id }) => id === chapterId);
  if (!chapter) throw new Error(`expected a chapter, got ${chapterId}`);
  const context = await contextFor(chapter.digits);
  let last: readonly Exhibit[] = [];
  for (const exhibits of chapter.exhibits(context, settings)) {
    if (request !== newest) return;
    last = exhibits;
    post({ type: 'shown', request, phase: 'computing', exhibits });
    await pause(pictureEveryMs);
    if (request !== newest) return;
  }
  post({ type: 'shown', request, phase: 'done', exhibits: last });
}

/** @throws Error if the model or the sample is invalid */
function inspect(backend: HostBackend, request: InspectRequest): Inspected {
  const { sampleShape, step, sample, text } = request;
  const model = parseModel(request.model);
  const weights = floatsFrom(request.weights);
  const weightView = viewWeights(model, sampleShape, weights);
  const exhibits = text ? textExhibits(backend, model, weights, text.tokens, text.names) : [];
  if (!sample) return { step, weightView, sample: undefined, exhibits };
  const trace = traceSample(backend, model, weights, sample);
  const gradientView = viewWeights(model, sampleShape, trace.gradient);
  return { step, weightView, sample: { trace, gradientView }, exhibits };
}

/** The live run: trains between requests, and sends a picture at regular intervals. */
class LiveLoop {
  #run: LiveRun | undefined;
  #phase: Phase = 'paused';
  #pace = { places: 1, pictureEveryMs };
  #isLooping = false;
  /** Requests are handled one after another: the first waits for the backend and the digits. */
  #last: Promise<void> = Promise.resolve();

  take(request: LiveRequest): void {
    this.#last = this.#last.then(() => this.#handle(request)).catch(failed());
  }

  async #handle(request: LiveRequest): Promise<void> {
    switch (request.type) {
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

  async #open({ chapterId, settings }: Extract<LiveRequest, { type: 'open' }>): Promise<void> {
    const { live, digits } = chapters.find(({ id }) => id === chapterId) ?? {};
    if (!live) throw new Error(`expected a chapter with a live run, got ${chapterId}`);
    // Live runs use few digits, even in chapters that use all of them.
    const context = await contextFor(digits && 'few');
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
      await pause(this.#pace.pictureEveryMs);
    }
    this.#isLooping = false;
  }

  #show(): void {
    if (this.#run) post({ type: 'shown', phase: this.#phase, exhibits: this.#run.exhibits() });
  }
}

const live = new LiveLoop();
