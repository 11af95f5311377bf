/** Views that are loaded when they are first opened. */
import type { Signal } from '@preact/signals';
import type { ComponentType } from 'preact';
import { importFailure } from './format.ts';

/** The view, or why it could not be loaded. */
export type Loaded<Props> = Signal<{ readonly View?: ComponentType<Props>; readonly failure?: string } | undefined>;

export function Loading({ name, failure }: { readonly name: string; readonly failure: string | undefined }) {
  return <p role="status">{failure ? `${name} cannot be loaded: ${failure}.` : `${name} is loading …`}</p>;
}

/** Loads a view when it is first opened; returns undefined until it is loaded. */
export function loaded<Props>(
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
        view.value = { failure: importFailure(error) };
      },
    );
  }
  return view.value?.View;
}
