/** Views whose code is loaded when they are first opened. */
import { signal } from '@preact/signals';
import type { ComponentType } from 'preact';
import { importFailure } from './format.ts';

export const Lesson = lazyView('The lesson', () => import('../learn/lesson.tsx').then(({ Lesson }) => Lesson));
export const Inside = lazyView('The network', () => import('../inside/inside.tsx').then(({ Inside }) => Inside));

/** A view whose code is loaded when it is first shown. @param name of the view, to say that it is loading or missing */
export function lazyView<Props extends object>(
  name: string,
  load: () => Promise<ComponentType<Props>>,
): ComponentType<Props> {
  const loaded = signal<{ readonly View?: ComponentType<Props>; readonly failure?: string }>();
  const begin = (): void => {
    loaded.value = {};
    load().then(
      (View) => {
        loaded.value = { View };
      },
      (error: unknown) => {
        loaded.value = { failure: importFailure(error) };
      },
    );
  };
  return (props: Props) => {
    if (loaded.value === undefined) begin();
    const { View, failure } = loaded.value ?? {};
    if (View) return <View {...props} />;
    return <p role="status">{failure ? `${name} cannot be loaded: ${failure}.` : `${name} is loading …`}</p>;
  };
}
