/** Computes chapters beside the page, which stays responsive; a thread of its own. */
import { chapters, type LessonContext } from '@lockstep/lesson';
import { openBackend } from '@lockstep/tensor';
import { fetchDigits } from './digits.ts';
import type { ChapterAnswer, ChapterRequest } from './messages.ts';

/** Between two pictures, so that an eye can follow, and the next request comes in. */
const pictureEveryMs = 30;

let newest = 0;
let opened: ReturnType<typeof openHost> | undefined;
let digits: ReturnType<typeof fetchDigits> | undefined;

addEventListener('message', ({ data }: MessageEvent<ChapterRequest>) => {
  newest = data.request;
  const { request } = data;
  compute(data).catch((error: unknown) => {
    post({ request, type: 'failed', message: error instanceof Error ? error.message : String(error) });
  });
});

function post(answer: ChapterAnswer): void {
  postMessage(answer);
}

async function compute({ request, chapterId, settings }: ChapterRequest): Promise<void> {
  const chapter = chapters.find(({ id }) => id === chapterId);
  if (!chapter) throw new Error(`expected a chapter, got ${chapterId}`);
  const context = await contextFor(chapter.usesDigits ?? false);
  for (const exhibits of chapter.exhibits(context, settings)) {
    if (request !== newest) return;
    post({ request, type: 'shown', exhibits });
    await new Promise((resolve) => setTimeout(resolve, pictureEveryMs));
    if (request !== newest) return;
  }
  post({ request, type: 'done' });
}

async function contextFor(usesDigits: boolean): Promise<LessonContext> {
  opened ??= openHost();
  if (usesDigits) digits ??= fetchDigits();
  const [{ backend }, loaded] = await Promise.all([opened, usesDigits ? digits : undefined]);
  return { backend, digits: loaded, nowMs: () => performance.now() };
}

function openHost() {
  return openBackend('auto');
}
