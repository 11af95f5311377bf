/** The page's views: the run, and the room's and the lesson, whose code comes when they are opened. */
import { type Signal, signal } from '@preact/signals';
import type { ComponentType } from 'preact';
import { Page, type PageProps } from './page.tsx';
import type { Room as RoomView } from './room/room.tsx';
import { chapterInAddress, isRoomInAddress } from './route.ts';

/** Why a view's code is not there, or the view. */
type Loaded<Props> = Signal<{ readonly View?: ComponentType<Props>; readonly failure?: string } | undefined>;

const lesson: Loaded<{ readonly chapterId: string }> = signal();
const room: Loaded<Parameters<typeof RoomView>[0]> = signal();

export function Views(props: PageProps) {
  if (isRoomInAddress.value) return <RoomWhenLoaded {...props} />;
  const chapterId = chapterInAddress.value;
  if (chapterId === undefined) return <Page {...props} />;
  if (lesson.value === undefined) load(lesson, 'lesson', async () => (await import('./learn/lesson.tsx')).Lesson);
  const { View, failure } = lesson.value ?? {};
  return View ? <View chapterId={chapterId} /> : <p role="status">{failure ?? 'The lesson is loading …'}</p>;
}

function load<Props>(loaded: Loaded<Props>, what: string, viewOf: () => Promise<ComponentType<Props>>): void {
  loaded.value = {};
  viewOf().then(
    (View) => {
      loaded.value = { View };
    },
    (error: unknown) => {
      loaded.value = { failure: `The ${what} cannot be loaded: ${error instanceof Error ? error.message : error}.` };
    },
  );
}

function RoomWhenLoaded({ store, secrets }: PageProps) {
  if (room.value === undefined) load(room, "room's view", async () => (await import('./room/room.tsx')).Room);
  const { View, failure } = room.value ?? {};
  const loading = "The room's view is loading …";
  return View ? <View store={store} secrets={secrets.value} /> : <p role="status">{failure ?? loading}</p>;
}
