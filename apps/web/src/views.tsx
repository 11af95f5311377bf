/** The page's views: the run; the lesson and the live network, whose code comes when they are opened. */
import { type Signal, signal } from '@preact/signals';
import type { ComponentType } from 'preact';
import type { InsideProps } from './inside/inside.tsx';
import { partInAddress } from './inside/route.ts';
import { chapterInAddress } from './learn/route.ts';
import { Page, type PageProps } from './page.tsx';

/** The view, or why it is not there. */
type Loaded<Props> = Signal<{ readonly View?: ComponentType<Props>; readonly failure?: string } | undefined>;

const lesson: Loaded<{ readonly chapterId: string }> = signal();
const inside: Loaded<InsideProps> = signal();

export function Views(props: PageProps) {
  const [chapterId, part] = [chapterInAddress.value, partInAddress.value];
  if (chapterId !== undefined) {
    const View = loaded(lesson, () => import('./learn/lesson.tsx').then(({ Lesson }) => Lesson));
    return View ? <View chapterId={chapterId} /> : <Loading name="The lesson" failure={lesson.value?.failure} />;
  }
  if (part !== undefined) {
    const { store, predictor, viewer } = props;
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

/** Loads a view when it is first asked for; undefined until it is there. */
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
