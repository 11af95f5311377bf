/** Computes chapters and inspects live networks in a thread, so that the page stays responsive. */
import { chapters, type DigitsUse, type LessonContext } from '@lockstep/lesson';
import { openBackend } from '@lockstep/tensor';
import { inspect } from '../inside/inspect.ts';
import type { InspectAnswer, InspectRequest } from '../inside/messages.ts';
import { fetchDigits } from './digits.ts';
import { LiveLoop } from './live-loop.ts';
import type { ChapterAnswer, ChapterRequest, LiveAnswer, LiveRequest } from './messages.ts';

/** Milliseconds between two pictures, so that the eye can follow and the next request can arrive. */
const pictureEveryMs = 30;

let newest = 0;
let opened: ReturnType<typeof openHost> | undefined;
const live = new LiveLoop(contextFor, post);

addEventListener('message', ({ data }: MessageEvent<ChapterRequest | InspectRequest | LiveRequest>) => {
  if ('live' in data) {
    live.take(data);
    return;
  }
  if ('network' in data) {
    computeInspection(data).catch((error: unknown) => post({ type: 'failed', message: messageOf(error) }));
    return;
  }
  newest = data.request;
  const { request } = data;
  compute(data).catch((error: unknown) => post({ request, type: 'failed', message: messageOf(error) }));
});

function post(answer: ChapterAnswer | InspectAnswer | LiveAnswer): void {
  postMessage(answer);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

async function computeInspection(request: InspectRequest): Promise<void> {
  opened ??= openHost();
  post({ type: 'inspected', inspected: inspect((await opened).backend, request) });
}

async function compute({ request, chapterId, settings }: ChapterRequest): Promise<void> {
  const chapter = chapters.find(({ id }) => id === chapterId);
  if (!chapter) throw new Error(`expected a chapter, got ${chapterId}`);
  const context = await contextFor(chapter.digits);
  for (const exhibits of chapter.exhibits(context, settings)) {
    if (request !== newest) return;
    post({ request, type: 'shown', exhibits });
    await new Promise((resolve) => setTimeout(resolve, pictureEveryMs));
    if (request !== newest) return;
  }
  post({ request, type: 'done' });
}

async function contextFor(use: DigitsUse | undefined): Promise<LessonContext> {
  opened ??= openHost();
  const [{ backend }, digits] = await Promise.all([opened, use && fetchDigits(use)]);
  return { backend, digits, nowMs: () => performance.now() };
}

function openHost() {
  return openBackend('auto');
}
