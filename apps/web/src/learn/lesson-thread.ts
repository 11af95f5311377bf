/** The lesson's thread: computes chapters, live runs and inspections, so that the page stays responsive. */
import { errorMessage } from '@lockstep/data/shown';
import {
  allDigits,
  chapters,
  type Digits,
  type DigitsUse,
  type Exhibit,
  fewDigits,
  type LessonContext,
  LiveRun,
  pixelsPerDigit,
  traceSample,
  viewWeights,
} from '@lockstep/lesson';
import { parseModel } from '@lockstep/nn';
import { floatsFrom } from '@lockstep/protocol';
import { type HostBackend, openBackend } from '@lockstep/tensor';
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
  const { sampleShape, step, sample } = request;
  const model = parseModel(request.model);
  const weights = floatsFrom(request.weights);
  const weightView = viewWeights(model, sampleShape, weights);
  if (!sample) return { step, weightView, sample: undefined };
  const trace = traceSample(backend, model, weights, sample);
  return { step, weightView, sample: { trace, gradientView: viewWeights(model, sampleShape, trace.gradient) } };
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

let few: Promise<Digits> | undefined;
let all: Promise<Digits> | undefined;

/**
 * Loads MNIST, which is part of the page as two files (`scripts/digits.ts`), each only once.
 * @throws Error if a file is missing or incomplete
 */
function fetchDigits(use: DigitsUse): Promise<Digits> {
  few ??= fetchPacked('digits.packed', fewDigits);
  if (use === 'few') return few;
  const rest = { train: allDigits.train - fewDigits.train, test: allDigits.test - fewDigits.test };
  all ??= Promise.all([few, fetchPacked('more-digits.packed', rest)]).then(([first, more]) => ({
    train: joined(first.train, more.train),
    test: joined(first.test, more.test),
  }));
  return all;
}

async function fetchPacked(file: string, counts: Readonly<Record<keyof Digits, number>>): Promise<Digits> {
  // Scripts are in a folder next to the file. With a name that ends in .gz, the browser would unpack the file itself.
  const response = await fetch(new URL(`../${file}`, location.href));
  if (!response.ok || !response.body) throw new Error(`${file}: expected the page's digits, got ${response.status}`);
  const unpacked = response.body.pipeThrough(new DecompressionStream('gzip'));
  const bytes = new Uint8Array(await new Response(unpacked).arrayBuffer());
  const expected = (counts.train + counts.test) * (pixelsPerDigit + 1);
  if (bytes.length !== expected) throw new Error(`${file}: expected ${expected} bytes, got ${bytes.length}`);
  let offset = 0;
  const take = (length: number): Uint8Array => {
    offset += length;
    return bytes.subarray(offset - length, offset);
  };
  const images = (count: number) => ({ pixels: take(count * pixelsPerDigit), labels: Uint16Array.from(take(count)) });
  return { train: images(counts.train), test: images(counts.test) };
}

function joined(first: Digits['train'], rest: Digits['train']): Digits['train'] {
  const pixels = new Uint8Array(first.pixels.length + rest.pixels.length);
  pixels.set(first.pixels);
  pixels.set(rest.pixels, first.pixels.length);
  return { pixels, labels: Uint16Array.from([...first.labels, ...rest.labels]) };
}
