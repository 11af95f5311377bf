/** The views of the page. The code of the room, the lesson and the live network is loaded when they are opened. */
import { type Signal, signal } from '@preact/signals';
import type { ComponentType } from 'preact';
import type { InsideProps } from './inside/inside.tsx';
import { isOwner, Page, type PageProps, requestsOf } from './page.tsx';
import type { RoomProps } from './room/room.tsx';
import { chapterInAddress, isRoomInAddress, partInAddress } from './route.ts';
import { needsCode } from './watch/status.ts';

/** The view, or why it could not be loaded. */
type Loaded<Props> = Signal<{ readonly View?: ComponentType<Props>; readonly failure?: string } | undefined>;

const lesson: Loaded<{ readonly chapterId: string }> = signal();
const inside: Loaded<InsideProps> = signal();
const room: Loaded<RoomProps> = signal();

export function Views(props: PageProps) {
  const { store, predictor, viewer, secrets } = props;
  const [chapterId, part] = [chapterInAddress.value, partInAddress.value];
  // Views of a locked run fall back to its page, which asks for the code, and return once the code is accepted.
  const isLocked = needsCode(store.status.value);
  if (isRoomInAddress.value && !isLocked) {
    const View = loaded(room, () => import('./room/room.tsx').then(({ Room }) => Room));
    return View ? (
      <View
        store={store}
        secrets={secrets.value}
        onStart={isOwner(store) ? () => requestsOf(props).control('start') : undefined}
      />
    ) : (
      <Loading name="The room's view" failure={room.value?.failure} />
    );
  }
  if (chapterId !== undefined) {
    const View = loaded(lesson, () => import('./learn/lesson.tsx').then(({ Lesson }) => Lesson));
    return View ? <View chapterId={chapterId} /> : <Loading name="The lesson" failure={lesson.value?.failure} />;
  }
  if (part !== undefined && !isLocked) {
    const View = loaded(inside, () => import('./inside/inside.tsx').then(({ Inside }) => Inside));
    const requestWeights = (): void => viewer.send({ type: 'wantWeights' });
    return View ? (
      <View {...{ store, predictor, part, requestWeights }} />
    ) : (
      <Loading name="The network" failure={inside.value?.failure} />
    );
  }
  return <Page {...props} />;
}

function Loading({ name, failure }: { readonly name: string; readonly failure: string | undefined }) {
  return <p role="status">{failure ? `${name} cannot be loaded: ${failure}.` : `${name} is loading …`}</p>;
}

/** Loads a view when it is first opened; returns undefined until it is loaded. */
function loaded<Props>(
  view: Loaded<Props>,
  load: () => Promise<ComponentType<Props>>,
): ComponentType<Props> | undefined {
  if (view.value === undefined) {
    view.value = {};
    load().then(
      (View) => {
        view.value = { View };
      },
      (error: unknown) => {
        view.value = { failure: error instanceof Error ? error.message : String(error) };
      },
    );
  }
  return view.value?.View;
}
