/** The page's two views: the run, and the lesson, whose code comes when it is opened. */
import { signal } from '@preact/signals';
import type { ComponentType } from 'preact';
import { chapterInAddress } from './learn/route.ts';
import { Page, type PageProps } from './page.tsx';

/** Why the lesson is not there, or the lesson. */
const lesson = signal<{ readonly Lesson?: ComponentType<{ readonly chapterId: string }>; readonly failure?: string }>();

export function Views(props: PageProps) {
  const chapterId = chapterInAddress.value;
  if (chapterId === undefined) return <Page {...props} />;
  if (lesson.value === undefined) loadLesson();
  const { Lesson, failure } = lesson.value ?? {};
  if (Lesson) return <Lesson chapterId={chapterId} />;
  return <p role="status">{failure ?? 'The lesson is loading …'}</p>;
}

function loadLesson(): void {
  lesson.value = {};
  import('./learn/lesson.tsx').then(
    ({ Lesson }) => {
      lesson.value = { Lesson };
    },
    (error: unknown) => {
      lesson.value = { failure: `The lesson cannot be loaded: ${error instanceof Error ? error.message : error}.` };
    },
  );
}
