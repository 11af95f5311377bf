/** Binds an input to a signal: `<input {...bindInput(name)} />`. */
import type { Signal } from '@preact/signals';

export function bindInput<Value extends string>(bound: Signal<Value>) {
  return {
    value: bound.value,
    onInput(event: { readonly currentTarget: { readonly value: string } }) {
      bound.value = event.currentTarget.value as Value;
    },
  };
}
